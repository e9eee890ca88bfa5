"""`laurel worker`: one processor in one process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from broker.failpoints import arm_from_environment
from processor.app import run_worker
from processor.logs import configure_logs
from processor.settings import read_settings


def command(
    kafka: Annotated[str | None, typer.Option(help="Brokers, as host:port,host:port. [LAUREL_KAFKA]")] = None,
    namespace: Annotated[str | None, typer.Option(help="Namespace of all topics. [LAUREL_NAMESPACE]")] = None,
    metrics_port: Annotated[
        int | None, typer.Option(help="Prometheus port, 0 for a free one. [LAUREL_METRICS_PORT]")
    ] = None,
    profile: Annotated[
        Path | None, typer.Option(help="Append a line of timings to this file at the end. [LAUREL_PROFILE]")
    ] = None,
) -> None:
    """Run one processor until SIGTERM: events in, states and unlocks out, exactly once.

    It ends with 70 when it must be started again, and with 4 when something must be done first; a supervisor
    tells them apart. Start as many as you like: they share the partitions.
    """
    settings = read_settings(kafka=kafka, namespace=namespace, metrics_port=metrics_port, profile=profile)
    configure_logs(settings.log_level)
    arm_from_environment()
    run_worker(settings)
