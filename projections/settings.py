"""Where the projector reads and writes: environment variables that begin with LAUREL_."""

from __future__ import annotations

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

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
    """LAUREL_KAFKA is host:port,…; LAUREL_METRICS_PORT 0 takes a free port and writes it to the log."""

    kafka: str
    metrics_port: int = 0
