"""What was earned before an achievement was there, by the names that a Django project knows for it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Annotated

import typer

from broker.catalogs import read_records
from broker.controls import read_controls
from cli.achievements import UserOption
from cli.kafka import run
from cli.output import print_json
from cli.postgres import read_models
from cli.replay.ending import exit_code
from cli.replay.plan import as_told, counted, plan_told
from cli.replay.start import carry_out, replay_settings
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, unknown_user
from cli.verify import DIFFERENT, summary, told, verified
from processor.replay.excerpt import Aim, needs_of
from progress.queries import is_known
from replays.intent import intend, running_versions
from replays.starting import Wish, start
from schemas.catalog.findings import nearest
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogProgram, CatalogRecord
from schemas.replays import Named, Notify

KeysOption = Annotated[
    list[str] | None,
    typer.Option("--achievement", metavar="KEY", help="Only this one; may be given several times."),
]


def award_retroactive_achievements(
    catalog: CatalogOption = None,
    achievement: KeysOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say who would gain what, and change nothing.")
    ] = False,
    notify: Annotated[
        Notify, typer.Option(help="What users are told: nothing, one message in all, each.")
    ] = "digest",
    as_json: JsonOption = False,
) -> None:
    """Give all users what they earned before an achievement was there, by the catalogs that run.

    The past of each achievement is looked at again: whoever holds it keeps it, nobody gets it twice, and it carries
    the day on which it was earned. The same once more changes nothing. What waits for XP is left out.
    """
    settings = Settings()
    wishes = [wish for record in run(_running(settings, catalog)) if (wish := wish_of(record, achievement, notify))]
    if not wishes:
        raise LaurelError(_nothing_to_look_at(achievement))
    ended = [_shown(settings, wish, as_json) if dry_run else _done(settings, wish, as_json) for wish in wishes]
    raise typer.Exit(max(ended))


def recalculate_achievements(user: UserOption, catalog: CatalogOption = None, as_json: JsonOption = False) -> None:
    """Fold one user's events anew, and compare what comes out with what is shown.

    Nothing is written: what is shown is folded from the same events, so there is nothing to put in its place. What
    is due by a later rule is told: `award_retroactive_achievements` gives it. Exit code 5 when they differ.
    """
    settings = Settings()
    with read_models(settings) as connection:
        if not is_known(connection, user):
            raise unknown_user(user)
        verdict = run(verified(settings, connection, [user], catalog))
    if as_json:
        print_json(summary(verdict))
    else:
        print("\n".join(told(verdict)))
    if verdict.differences:
        raise typer.Exit(DIFFERENT)


async def _running(settings: Settings, catalog: str | None) -> list[CatalogRecord]:
    """The versions that run. Raises: LaurelError when the one that is named does not."""
    records = await read_records(settings.kafka, settings.names)
    versions = running_versions(records, (await read_controls(settings.kafka, settings.names)).values())
    runs = [each for each in records if versions.get(each.catalog) == each.version]
    if catalog is not None and catalog not in versions:
        raise Precondition(f"catalog '{catalog}' does not run: {nearest(catalog, versions)}")
    return [each for each in runs if catalog in (None, each.catalog)]


def wish_of(record: CatalogRecord, keys: Collection[str] | None, notify: Notify) -> Wish | None:
    """To look again at what is named, or at everything; None where the catalog has nothing of it."""
    wanted = [(record.catalog, reference) for reference in sorted(chosen(record.program, keys))]
    return Wish(record.source, record.file, notify=notify, wanted=wanted) if wanted else None


def chosen(program: CatalogProgram, keys: Collection[str] | None) -> Iterator[str]:
    """References of what can be earned without XP."""
    for spec in program.achievements:
        named: Sequence[Named] = [(program.catalog, spec.reference)]
        if spec.is_active and (not keys or spec.key in keys) and not needs_of(program, Aim(awards=named)).xp:
            yield spec.reference


def _nothing_to_look_at(keys: Collection[str] | None) -> str:
    if keys:
        return (
            f"no catalog that runs has {', '.join(keys)} as an achievement that is active and does not wait for XP"
        )
    return "no catalog that runs has an active achievement that does not wait for XP"


def _shown(settings: Settings, wish: Wish, as_json: bool) -> int:
    """What it would come to."""
    intent = run(intend(settings.kafka, settings.names, wish.text, wish.file_name, wish.wanted))
    plan = counted(settings, intent, None)
    if as_json:
        print_json(as_told(plan))
    else:
        print("\n".join([f"catalog '{plan.catalog}', version {plan.version}", *plan_told(plan)]))
    return 0


def _done(settings: Settings, wish: Wish, as_json: bool) -> int:
    """Returns the exit code."""
    replay = run(start(replay_settings(settings), wish))
    standing = carry_out(replay_settings(settings), replay.id)
    if as_json:
        print_json(standing.told())
    else:
        print(
            f"replay '{replay.id}' is {standing.replay.status}: `laurel replay diff {replay.id}` shows what it gave"
        )
    return run(exit_code(settings, standing.replay))
