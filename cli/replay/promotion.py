"""`laurel replay promote` and `drop`: the end of a full reprocessing."""

from __future__ import annotations

from typing import Annotated

import typer

from broker.failpoints import arm_from_environment
from cli.kafka import run
from cli.output import print_json
from cli.replay.ending import exit_code
from cli.replay.options import IdArgument, JsonOption
from cli.replay.start import carry_out, replay_settings
from cli.settings import Settings
from replays.registry import Replay, registry_of
from replays.returning import Return, turn_back
from replays.settings import ReplaySettings
from replays.shadow import drop as drop_shadow
from schemas.replays import Notify, Policy

WaitOption = Annotated[bool, typer.Option("--wait", help="Until it is done, and help with it.")]
BackOption = Annotated[bool, typer.Option("--back", help="Undo the promotion: the old rules, up to now.")]
NotifyOption = Annotated[Notify | None, typer.Option(help="With --back, as with `start`. Default: digest.")]
PolicyOption = Annotated[
    Policy | None,
    typer.Option(help="With --back, for awards of the rules that go: as with `start`. Default: keep."),
]


def promote(
    id: IdArgument,
    back: BackOption = False,
    notify: NotifyOption = None,
    policy: PolicyOption = None,
    wait: WaitOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let what a full reprocessing has folded take the place of what runs: when it is level, and looked at.

    Live events wait for it, for seconds; nothing of them is lost. What users gain is awarded with the day they
    earned it and announced as --notify of `start` says; what they hold keeps its date. Until it is decided it can
    be cancelled. The same once more changes nothing. 4 says what must be done first.

    --back takes one that is done back: the states of before, which its shadow has kept, are folded on by the old
    rules to where live is, and promoted as soon as they are there. It is a replay of its own, ID-back.
    """
    arm_from_environment()
    if not back and (notify or policy):
        raise typer.BadParameter("--notify and --policy go with --back; else they are those of `start`")
    settings = replay_settings(Settings())
    wish = Return(id, notify or "digest", policy or "keep")
    replay = run(turn_back(settings, wish) if back else _promoted(settings, id))
    if not wait:
        tell(replay, as_json)
        return
    standing = carry_out(settings, replay.id)
    if as_json:
        print_json(standing.told())
    raise typer.Exit(run(exit_code(Settings(), standing.replay)))


async def _promoted(settings: ReplaySettings, id: str) -> Replay:
    async with registry_of(settings) as registry:
        return await registry.promote(id)


def drop(id: IdArgument, as_json: JsonOption = False) -> None:
    """Take the shadow of a full reprocessing away, topics and schema, once it is promoted or cancelled."""
    replay = run(drop_shadow(replay_settings(Settings()), id))
    if as_json:
        print_json({"replay": replay.id, "shadow": replay.shadow, "dropped_at": replay.dropped_at})
    else:
        print(f"the shadow of replay '{replay.id}', namespace '{replay.shadow}', is gone")


def tell(replay: Replay, as_json: bool) -> None:
    if as_json:
        print_json({"replay": replay.id, "status": replay.status})
    elif replay.back_of is not None:
        print(f"replay '{replay.id}' leads back: it is {replay.status}. A `laurel replayer` carries it out")
    elif replay.status == "done":
        print(f"replay '{replay.id}' is promoted: `laurel replay drop {replay.id}` takes its shadow away")
    else:
        print(
            f"replay '{replay.id}' is being promoted, as soon as a `laurel replayer` runs: `laurel replay status`"
        )
