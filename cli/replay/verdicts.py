"""`laurel replay pause`, `resume` and `cancel`."""

from __future__ import annotations

from typing import Literal

from cli.kafka import run
from cli.output import print_json
from cli.replay.options import IdArgument, JsonOption
from cli.settings import Settings
from replays.registry import Replay, registry_of

Verdict = Literal["pause", "resume", "cancel"]

FOLLOWS = {
    "pause": "is paused: what is filled stays hidden, and live events go on counting",
    "resume": "goes on, as soon as a `laurel replayer` runs",
    "cancel": "is being cancelled, as soon as a `laurel replayer` runs: nothing of it stays",
}


def pause(id: IdArgument, as_json: JsonOption = False) -> None:
    """Let a replay stop where it is, until it is resumed. Not possible once it gives its awards."""
    give("pause", id, as_json)


def resume(id: IdArgument, as_json: JsonOption = False) -> None:
    """Let a paused replay go on; a failed one too, when its cause is mended."""
    give("resume", id, as_json)


def cancel(id: IdArgument, as_json: JsonOption = False) -> None:
    """Take a replay back: nobody ever saw anything of it. Not possible once it gives its awards."""
    give("cancel", id, as_json)


def give(verdict: Verdict, id: str, as_json: bool) -> None:
    replay = run(_given(Settings(), verdict, id))
    if as_json:
        print_json({"replay": replay.id, "status": replay.status})
    else:
        said = "is cancelled" if replay.status == "cancelled" else FOLLOWS[verdict]
        print(f"replay '{replay.id}' {said}")


async def _given(settings: Settings, verdict: Verdict, id: str) -> Replay:
    async with registry_of(settings.database) as registry:
        change = {"pause": registry.pause, "resume": registry.resume, "cancel": registry.cancel}[verdict]
        return await change(id)
