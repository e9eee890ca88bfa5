"""Where a replay reads and writes: environment variables that begin with LAUREL_."""

from __future__ import annotations

from pydantic import Field

from projections.settings import DatabaseSettings


class ReplaySettings(DatabaseSettings):
    """LAUREL_KAFKA is host:port,…; LAUREL_REPLAY_RATE caps the orders a second that a partition is sent.

    LAUREL_START_TIMEOUT_S is how long a replayer waits for servers at its start, LAUREL_METRICS_PORT where
    Prometheus reads; 0 takes a free port and writes it to the log.

    Of a full reprocessing, LAUREL_REPLAY_WORKERS is how many workers its shadow has, LAUREL_REPLAY_HOLD_S how long
    live events may wait for a promotion until it is given up, LAUREL_REPLAY_SPACE_RESERVE the bytes of a broker's
    disk that are to stay free.
    """

    kafka: str
    metrics_port: int = 0
    replay_rate: float = Field(default=20_000, gt=0)
    start_timeout_s: float = Field(default=60, gt=0)
    replay_workers: int = Field(default=1, gt=0)
    replay_hold_s: float = Field(default=120, gt=0)
    replay_space_reserve: int = Field(default=512 * 1024**2, ge=0)
