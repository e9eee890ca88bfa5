"""The worker's options, from the environment with the prefix LAUREL_."""

from __future__ import annotations

import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import LaurelError

PREFIX = "LAUREL_"
LIKENESS = 0.8  # from here on an unknown name is taken for a misspelt one of ours


class ProcessorSettings(BaseSettings):
    """Units: as the names say."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    kafka: str = Field("127.0.0.1:9092", description="Brokers, as host:port,host:port.")
    namespace: str = Field("laurel", description="Prefix of topics, groups and transactional ids.")
    follows: str | None = Field(
        None,
        description="A shadow: the namespace whose commands are read, and past whose committed positions nothing "
        "of the sources is.",
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="Where Prometheus reads; 0 takes a free port.")
    profile: Path | None = Field(None, description="Append a JSON line of timings to this file at the end.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    start_timeout_s: float = Field(60, gt=0, description="How long to wait for a broker at the start.")
    stop_timeout_s: float = Field(9, gt=0, description="How long a stop may take before it is cut short.")
    session_timeout_s: float = Field(
        15, gt=0, description="After this silence the group gives our partitions away."
    )
    member_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="Static membership: restarted within its session, a worker takes its partitions up again, "
        "and the others notice nothing. Each process needs its own.",
    )
    watchdog_s: float = Field(60, gt=0, description="Exit after so long without membership, or progress under lag.")
    checkpoint_ms: int = Field(100, gt=0, description="Between checkpoints of a partition at the head of its log.")
    checkpoint_backlog_ms: int = Field(3000, gt=0, description="The same, at most, while it catches up.")
    states_decoded: int = Field(
        100_000, gt=0, description="So many user states stay decoded, about 2 KB each; others are kept as bytes."
    )
    checkpoint_records: int = Field(50_000, gt=0, description="So many folded records are enough for a checkpoint.")

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, level: str) -> str:
        if level.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError(f"'{level}' is not DEBUG, INFO, WARNING or ERROR")
        return level.upper()

    @classmethod
    def env_names(cls) -> list[str]:
        return [PREFIX + name.upper() for name in cls.model_fields]


def read_settings(**overrides: object) -> ProcessorSettings:
    """Options given by hand, else the environment's, else the defaults. Raises: LaurelError, naming the option."""
    refuse_misspelt(os.environ)
    try:
        return ProcessorSettings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as invalid:
        first = invalid.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        raise LaurelError(f"{name} is {first['input']!r}: {first['msg']}") from None


def refuse_misspelt(environment: Iterable[str]) -> None:
    """Raises: LaurelError on a LAUREL_ name that is nearly one of ours. Other names belong to other processes."""
    known = ProcessorSettings.env_names()
    for name in sorted(environment):
        strange = name.startswith(PREFIX) and name not in known
        if strange and (close := get_close_matches(name, known, n=1, cutoff=LIKENESS)):
            raise LaurelError(f"{name} is no option of the worker; did you mean {close[0]}?")
