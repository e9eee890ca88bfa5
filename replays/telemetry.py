"""What a replayer tells Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
CARRIED_OUT = Gauge("laurel_replays_carried_out", "Replays that this process is at work on.", registry=REGISTRY)
