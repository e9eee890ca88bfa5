"""`laurel replay start`: give everybody what a new version of a catalog finds in their past."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live

from broker import garbage
from broker.failpoints import arm_from_environment
from cli.catalog_files import loaded
from cli.kafka import run
from cli.output import JsonLines, print_json, stderr
from cli.replay.ending import exit_code
from cli.replay.late import FromOption, TopicOption, UntilOption, UsersOption, refuse_mixed, wish_for
from cli.replay.options import JsonOption
from cli.replay.processes import employ
from cli.replay.standing import Standing, page
from cli.replay.status import follow
from cli.settings import Settings
from projections.telemetry import configure_logs
from replays.late_starting import start as start_late
from replays.registry import Replay, registry_of
from replays.running import SERVER_ERRORS, run_to_end
from replays.settings import ReplaySettings
from replays.starting import Wish
from replays.starting import start as start_replay
from schemas.errors import LaurelError
from schemas.replays import Dates, Notify, Policy


def start(
    catalog: Annotated[str | None, typer.Option("--catalog", metavar="FILE", help="The new version.")] = None,
    topic: TopicOption = None,
    since: FromOption = None,
    until: UntilOption = None,
    users: UsersOption = None,
    id: Annotated[
        str | None, typer.Option("--id", metavar="NAME", help="Instead of one made of its content.")
    ] = None,
    notify: Annotated[
        Notify, typer.Option(help="What users are told: nothing, one message in all, each.")
    ] = "digest",
    policy: Annotated[
        Policy, typer.Option(help="For awards that a changed or removed rule gave before: keep, revoke, mark.")
    ] = "keep",
    dates: Annotated[
        Dates, typer.Option(help="approximate reads no past: what is earned is of when its metric last moved.")
    ] = "exact",
    accept_truncated: Annotated[
        bool, typer.Option("--accept-truncated", help="Although the log has lost its beginning.")
    ] = False,
    plan: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `laurel replay plan --json` printed: that, or nothing."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Carry it out here, instead of by a `laurel replayer`.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a replay of a catalog's new version, which publishes it; or, with --topic, of a stretch of a topic that
    can be read now and could not be then. The same once more shows what was started.

    Without --wait a running `laurel replayer` carries it out. With --wait the exit code is 0 when it is done, 3
    when it is done with dead letters, 1 when it failed. 4 says what must be done before it can start: nothing was
    written then.
    """
    arm_from_environment()
    refuse_mixed(catalog, topic, since, until)
    settings = replay_settings(Settings())
    if topic is not None:
        replay = run(start_late(settings, wish_for(topic, since, until, users, id, notify, accept_truncated)))
    else:
        file, told = loaded(catalog or ""), plan_in(plan) if plan else None
        wish = Wish(file.text, file.name, id, notify, policy, dates, accept_truncated, plan=told)
        replay = run(start_replay(settings, wish))
    if not wait:
        tell(replay, as_json)
        return
    standing = carry_out(settings, replay.id)
    if as_json:
        print_json(standing.told())
    raise typer.Exit(run(exit_code(Settings(), standing.replay)))


def plan_in(file: Path) -> dict[str, Any]:
    """Raises: LaurelError when there is no plan in it."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LaurelError(
            f"{file} cannot be read ({error}): give what `laurel replay plan --json` printed"
        ) from None
    if not isinstance(told, dict) or "plan" not in told:
        raise LaurelError(f"{file} has no plan: give what `laurel replay plan --json` printed")
    return told


def replay_settings(told: Settings) -> ReplaySettings:
    """Raises: Precondition when no Postgres is named."""
    return ReplaySettings(kafka=told.kafka, postgres=told.database.postgres, namespace=told.namespace)


def tell(replay: Replay, as_json: bool) -> None:
    if as_json:
        print_json(asdict(replay))
    else:
        print(
            f"replay '{replay.id}' is {replay.status}; a `laurel replayer` carries it out: `laurel replay status`"
        )


def carry_out(settings: ReplaySettings, id: str) -> Standing:
    """Run it here and show how far it is. Ctrl-C leaves it as it is, for somebody to go on with."""
    configure_logs()
    try:
        return run(_beside(settings, id))
    except KeyboardInterrupt:
        print(
            f"replay '{id}' is not finished, and nothing is lost: give the same command again, or start a "
            f"`laurel replayer`, to go on; `laurel replay cancel {id}` takes it back",
            file=sys.stderr,
        )
        raise
    except SERVER_ERRORS as away:
        raise LaurelError(
            f"{away}; replay '{id}' is not lost: give the same command again once it is back"
        ) from away


async def _beside(settings: ReplaySettings, id: str) -> Standing:
    """Its last standing. Raises: what a server's client raises when it went away."""
    garbage.collect_rarely()
    async with registry_of(settings) as registry:
        with ended_alike(), shown(id) as show:
            work = asyncio.ensure_future(run_to_end(settings, id, employ))
            watching = asyncio.ensure_future(follow(registry, id, show))
            try:
                await asyncio.wait([work, watching], return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
                return await watching
            finally:
                work.cancel()
                watching.cancel()
                await asyncio.gather(work, watching, return_exceptions=True)


@contextmanager
def ended_alike() -> Iterator[None]:
    """SIGTERM ends us as Ctrl-C does: by leaving, with all that we have started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def shown(id: str) -> Iterator[Callable[[Standing], None]]:
    """On a terminal all there is to say, else a line every few seconds."""
    if not stderr.is_terminal:
        lines = JsonLines(f"replay {id}")
        yield lambda standing: lines(**standing.figures)
        return
    with Live(console=stderr, refresh_per_second=4, transient=True) as live:
        yield lambda standing: live.update(page(standing))
