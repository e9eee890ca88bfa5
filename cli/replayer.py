"""`laurel replayer`: one process that carries out the replays that were started."""

from __future__ import annotations

import asyncio

from broker.failpoints import arm_from_environment
from cli.replay.processes import employ
from cli.settings import Settings
from projections.telemetry import configure_logs
from replays.serving import serve
from replays.settings import ReplaySettings


def command() -> None:
    """Run replays until SIGTERM or Ctrl-C; one that is not finished then goes on with the next replayer.

    It ends with 70 when it must be started again; a supervisor does that. Several do no harm, and no good.
    """
    configure_logs()
    arm_from_environment()
    asyncio.run(serve(settings(), employ))


def settings() -> ReplaySettings:
    """What the environment says, with the command line's defaults. Raises: Precondition without a database."""
    told = Settings()
    return ReplaySettings(kafka=told.kafka, postgres=told.database.postgres, namespace=told.namespace)
