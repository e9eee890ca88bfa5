"""`laurel replay status`: where replays stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from cli.kafka import run
from cli.output import print_json
from cli.replay.ending import exit_code
from cli.replay.options import JsonOption
from cli.replay.standing import Standing, overview, page, standing_of
from cli.settings import Settings
from replays.registry import Registry, registry_of

LOOK_S = 1.0


def status(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One of them, with its partitions.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Until it has ended; its exit code is the replay's.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show all replays, or one with phase, progress of each partition, rate, time left, and who paused it.

    With --json and --watch a line for every change.
    """
    if id is None and watch:
        raise typer.BadParameter("--watch needs an ID")
    if id is None:
        run(_list(Settings(), as_json))
    elif not watch:
        run(_look(Settings(), id, as_json))
    else:
        raise typer.Exit(run(_watch(Settings(), id, as_json)))


async def _list(settings: Settings, as_json: bool) -> None:
    async with registry_of(settings.database) as registry:
        replays = await registry.listed()
    if as_json:
        print_json({"replays": [asdict(each) for each in replays]})
    else:
        console().print(overview(replays) if replays else "there was no replay yet")


async def _look(settings: Settings, id: str, as_json: bool) -> None:
    async with registry_of(settings.database) as registry:
        standing = await standing_of(registry, id)
    if as_json:
        print_json(standing.told())
    else:
        console().print(page(standing))


async def _watch(settings: Settings, id: str, as_json: bool) -> int:
    """The exit code."""
    async with registry_of(settings.database) as registry:
        if as_json:
            last = await follow(registry, id, lambda standing: print_json(standing.told()))
        else:
            with Live(console=console(), refresh_per_second=4) as live:
                last = await follow(registry, id, lambda standing: live.update(page(standing)))
    return await exit_code(settings, last.replay)


async def follow(registry: Registry, id: str, show: Callable[[Standing], None]) -> Standing:
    """Show every change until it has ended."""
    shown: Standing | None = None
    while True:
        standing = await standing_of(registry, id)
        if standing != shown:
            show(standing)
            shown = standing
        if standing.replay.has_ended:
            return standing
        await asyncio.sleep(LOOK_S)


def console() -> Console:
    return Console(highlight=False, soft_wrap=True)
