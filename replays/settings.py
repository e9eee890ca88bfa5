"""Where a replay reads and writes: environment variables that begin with LAUREL_."""

from __future__ import annotations

from pydantic import Field

from projections.settings import DatabaseSettings


class ReplaySettings(DatabaseSettings):
    """LAUREL_KAFKA is host:port,…; LAUREL_REPLAY_RATE caps the orders a second that a partition is sent.

    LAUREL_START_TIMEOUT_S is how long a replayer waits for servers at its start, LAUREL_METRICS_PORT where
    Prometheus reads; 0 takes a free port and writes it to the log.
    """

    kafka: str
    metrics_port: int = 0
    replay_rate: float = Field(default=5_000, gt=0)
    start_timeout_s: float = Field(default=60, gt=0)
