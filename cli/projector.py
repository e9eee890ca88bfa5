"""`laurel projector`: one process that keeps the read models current."""

from __future__ import annotations

import asyncio

from broker.failpoints import arm_from_environment
from cli.settings import Settings
from projections.settings import ProjectorSettings
from projections.telemetry import configure_logs
from projections.worker import project


def command() -> None:
    """Run one projector. It ends with 70 when it must be started again; a supervisor does that."""
    configure_logs()
    arm_from_environment()
    asyncio.run(project(settings()))


def settings() -> ProjectorSettings:
    """What the environment says, with the command line's defaults. Raises: Precondition without a database."""
    told = Settings()
    database = told.database
    return ProjectorSettings(kafka=told.kafka, postgres=database.postgres, namespace=told.namespace)
