"""What the projector tells operators: Prometheus metrics, and logs in JSON without payloads."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from broker.logs import Sparing

RECORDS = Counter("laurel_projected_records", "Records whose rows are committed.", ["projection"])
BATCH_SECONDS = Histogram(
    "laurel_projection_batch_seconds",
    "From the first statement of a batch to its commit.",
    ["projection"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LAG = Gauge(
    "laurel_projection_lag", "Last stable offset minus the position committed.", ["projection", "partition"]
)
NOTIFICATIONS = Counter("laurel_notifications", "Notifications created.")
QUEUE_OLDEST = Gauge(
    "laurel_queue_oldest_pending_seconds", "Since when the longest waiting delivery could have been claimed."
)
QUEUE_DEPTH = Gauge("laurel_queue_depth", "Deliveries that are not done.", ["state"])

PROCESSORS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.processors.format_exc_info,
]

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("laurel.projector")


def configure_logs() -> None:
    """One JSON line per log line on standard error, those of the libraries too."""
    structlog.configure(
        processors=[*PROCESSORS, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=PROCESSORS, processor=structlog.processors.JSONRenderer()
        )
    )
    handler.addFilter(Sparing())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.getLogger("aiokafka").setLevel(logging.WARNING)


def serve_metrics(port: int, registry: CollectorRegistry = REGISTRY) -> None:
    """Answer on /metrics; port 0 takes a free one."""
    server, _ = start_http_server(port, registry=registry)
    log.info("metrics", port=server.server_port)
