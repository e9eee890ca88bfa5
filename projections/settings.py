"""Where the projector reads and writes: environment variables that begin with LAUREL_."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from projections.digest import NOTICES_PER_S
from schemas.topics import Names


class DatabaseSettings(BaseSettings):
    """LAUREL_POSTGRES is a postgresql:// URL, LAUREL_NAMESPACE the name of this deployment."""

    model_config = SettingsConfigDict(env_prefix="LAUREL_")

    postgres: SecretStr
    namespace: str = "laurel"

    @property
    def names(self) -> Names:
        return Names(self.namespace)


class ProjectorSettings(DatabaseSettings):
    """LAUREL_KAFKA is host:port,…; LAUREL_METRICS_PORT 0 takes a free port and writes it to the log.

    LAUREL_MEMBER_ID makes membership static: a projector that comes back within its session takes its partitions up
    again at once. Each process needs its own. LAUREL_SESSION_TIMEOUT_S is how long the partitions of a killed
    projector stay nobody's, LAUREL_START_TIMEOUT_S how long to wait for servers at the start.
    LAUREL_REPLAY_NOTICES_PER_S is how many deliveries a second become due of what replays announce.
    """

    kafka: str
    metrics_port: int = 0
    session_timeout_s: float = Field(default=6, gt=0)
    start_timeout_s: float = Field(default=60, gt=0)
    replay_notices_per_s: float = Field(default=NOTICES_PER_S, gt=0)
    member_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,100}$")
