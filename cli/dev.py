"""`laurel dev`: the whole path in the foreground, until Ctrl-C."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cli.catalog_files import catalog_file
from cli.output import print_json
from cli.stack import LocalStack
from cli.stack.child import Child
from cli.stack.pipeline import CHECKOUT, Pipeline, refuse_final_exit, running, start_replayer
from cli.stack.postgres import NOBODY, reachable

LOOK_SECONDS = 0.5
ROOTS_DATA = Path("/var/lib/laurel")


def command(
    catalog: Annotated[
        list[str] | None,
        typer.Option("--catalog", metavar="FILE", help="Catalogs to publish: paths or bundled names; repeatable."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Where the data stays between runs. Default: .laurel in the checkout.", envvar="LAUREL_DATA_DIR"
        ),
    ] = None,
    ephemeral: Annotated[bool, typer.Option("--ephemeral", help="Keep nothing after the run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON line once everything is ready.")] = False,
) -> None:
    """Run Kafka, Postgres, a processor, a projector and a replayer until Ctrl-C, and print their addresses.

    LAUREL_KAFKA and LAUREL_POSTGRES are used when set: nothing is started in their place.
    """
    files = [catalog_file(named) for named in catalog or ["trackflow"]]
    stack = LocalStack(data_dir or default_data_dir(), ephemeral=ephemeral)
    with running(stack, files) as pipeline:
        replayer = start_replayer(stack, pipeline.settings)
        tell(addresses(stack, pipeline), as_json)
        watch([*(process.child for process in pipeline.processes), replayer])


def default_data_dir() -> Path:
    """In the checkout; for root elsewhere when the database's user could not enter it."""
    ours = CHECKOUT / ".laurel"
    return ours if os.geteuid() != 0 or reachable(ours, NOBODY) else ROOTS_DATA


def addresses(stack: LocalStack, pipeline: Pipeline) -> dict[str, str]:
    metrics = {f"{process.child.name}_metrics": process.metrics for process in pipeline.processes}
    servers = {"kafka": stack.kafka, "postgres": stack.postgres, "namespace": pipeline.settings.namespace}
    return {**servers, **metrics, "data": str(stack.data_dir)}


def tell(addresses: dict[str, str], as_json: bool) -> None:
    if as_json:
        print_json(addresses)
        return
    for name, address in addresses.items():
        print(f"{name:18} {address}")
    print(
        f"""
In another terminal:
  export LAUREL_KAFKA={addresses["kafka"]} LAUREL_POSTGRES={addresses["postgres"]}
  ./laurel publish FILE
Ctrl-C stops everything.""",
        flush=True,
    )


def watch(children: Sequence[Child]) -> None:
    """Until Ctrl-C; says when a process fell and was started again."""
    seen = {child.name: 0 for child in children}
    while True:
        for child in children:
            refuse_final_exit(child)
            if child.restarts > seen[child.name]:
                seen[child.name] = child.restarts
                print(f"'{child.name}' ended and was started again, log {child.order.log}", file=sys.stderr)
        time.sleep(LOOK_SECONDS)
