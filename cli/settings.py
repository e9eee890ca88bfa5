"""Where the commands find Kafka and Postgres: environment variables that begin with LAUREL_."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from projections.settings import DatabaseSettings
from schemas.errors import Precondition
from schemas.topics import Names

PARTITIONS_MAX = 256


class Settings(BaseSettings):
    """LAUREL_KAFKA is host:port,…; LAUREL_POSTGRES a postgresql:// URL; LAUREL_PARTITIONS counts for new topics."""

    model_config = SettingsConfigDict(env_prefix="LAUREL_")

    kafka: str = "127.0.0.1:9092"
    postgres: SecretStr | None = None
    namespace: str = "laurel"
    partitions: int = Field(default=8, ge=1, le=PARTITIONS_MAX)

    @property
    def names(self) -> Names:
        return Names(self.namespace)

    @property
    def database(self) -> DatabaseSettings:
        """Raises: Precondition when no Postgres is named."""
        if self.postgres is None:
            raise Precondition(
                "LAUREL_POSTGRES is not set: set it to the postgresql:// URL of the projector's database; "
                "`laurel dev` prints that of its own"
            )
        return DatabaseSettings(postgres=self.postgres, namespace=self.namespace)
