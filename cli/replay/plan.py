"""`laurel replay plan`: what a new version changes, how that is made up for, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.catalogs import read_records
from cli.catalog.changes import Compiled, changes
from cli.catalog.comparing import lines
from cli.catalog_files import CatalogFile, loaded
from cli.kafka import run
from cli.output import print_json, progress
from cli.postgres import read_models
from cli.replay import late
from cli.replay.late import FromOption, TopicOption, UntilOption, refuse_mixed, wish_for
from cli.replay.options import JsonOption
from cli.replay.start import replay_settings
from cli.settings import Settings
from cli.verify import UsersOption, users_in
from processor.evaluator.compile import compile_catalog
from replays.intent import Intent, intend, why_exact
from replays.late_intent import Wish
from replays.planning import Plan, planned
from schemas.catalog import read_catalog
from schemas.program import Ledger

SAID_OF_KIND = {
    "sweep": "sweep: every metric is there, so the past is read for who has earned it, and when",
    "fold_and_merge": "fold and merge: the past is folded aside up to a cut, and merged into what counts since",
    "full": "full reprocessing: everything is folded anew beside what runs, compared, and promoted",
    "nothing": "nothing to replay: `laurel catalog publish` is enough",
}


def plan(
    catalog: Annotated[str | None, typer.Option("--catalog", metavar="FILE", help="The new version.")] = None,
    topic: TopicOption = None,
    since: FromOption = None,
    until: UntilOption = None,
    users: UsersOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a replay of a catalog's new version would do: what changes, how and why, who gains what, how many
    notices would go out, how long it takes, and whether the log has lost its beginning. Changes nothing.

    It folds the whole past aside, as the replay itself does: it takes about as long. With --topic: what of a
    stretch was not counted then and can be read now, what is refused still, and what folding it late would give.
    """
    refuse_mixed(catalog, topic, since, until)
    if topic is not None:
        tell_stretch(wish_for(topic, since, until, users), as_json)
    elif catalog is not None:
        tell_version(catalog, users, as_json)


def tell_stretch(wish: Wish, as_json: bool) -> None:
    told = run(late.planned(replay_settings(Settings()), wish))
    if as_json:
        print_json(late.as_told(told))
    else:
        print("\n".join(late.plan_told(told)))


def tell_version(catalog: str, users: Path | None, as_json: bool) -> None:
    file, settings = loaded(catalog), Settings()
    intent, before = run(_intended(settings, file))
    told = counted(settings, intent, set(users_in(users)) if users else None)
    if as_json:
        print_json({**as_told(told), "why_exact": why_exact(intent)})
        return
    print("\n".join(lines(before, compiled_alone(file), changes(before, compiled_alone(file))) if before else []))
    print("\n".join([*plan_told(told), *dates_told(told, why_exact(intent))]))


def dates_told(plan: Plan, why_exact: str | None) -> list[str]:
    """Where there is a choice."""
    if plan.kind != "sweep" or why_exact is not None:
        return []
    return ["--dates approximate would read no past: by the states alone, of when each metric last moved"]


def counted(settings: Settings, intent: Intent, users: set[str] | None) -> Plan:
    with read_models(settings) as connection, progress("folding the past aside") as show:
        reading = planned(
            replay_settings(settings), intent, connection, users, lambda records: show(records=records)
        )
        return run(reading)


async def _intended(settings: Settings, file: CatalogFile) -> tuple[Intent, Compiled | None]:
    """What it takes, and the version that runs, if one does."""
    intent = await intend(settings.kafka, settings.names, file.text, file.name)
    runs = (intent.catalog.catalog, intent.from_versions.get(intent.catalog.catalog))
    records = await read_records(settings.kafka, settings.names)
    source = next(
        (CatalogFile(each.source, each.file) for each in records if (each.catalog, each.version) == runs), None
    )
    return intent, compiled_alone(source) if source else None


def compiled_alone(file: CatalogFile) -> Compiled:
    return Compiled(*compile_catalog(read_catalog(file.text, file.name), Ledger()))


def as_told(plan: Plan) -> dict[str, Any]:
    return {
        **plan._asdict(),
        "gains": [gain._asdict() for gain in plan.gains],
        "retired": [each._asdict() for each in plan.retired],
    }


def plan_told(plan: Plan) -> list[str]:
    told = ["", SAID_OF_KIND[plan.kind], *(f"  {reason}" for reason in plan.why)]
    if plan.gains:
        told += ["", *_gains_told(plan)]
    told += [f"{each.held:,} hold {each.catalog}/{each.achievement}, {POLICY}" for each in plan.retired]
    told += [f"waits for replay '{holder}', which has {catalog}/{name}" for catalog, name, holder in plan.conflicts]
    told += [f"{each}: needs --accept-truncated" for each in plan.truncated]
    return [*told, "", f"plan {plan.plan}"]


POLICY = "by a rule that is harder now, or gone: kept, unless --policy says revoke or legacy"


def _gains_told(plan: Plan) -> Iterator[str]:
    for gain in plan.gains:
        awards = f", {gain.awards:,} awards" if gain.awards != gain.users else ""
        yield f"{gain.users:,} users gain {gain.catalog}/{gain.achievement} ({gain.name}){awards}"
    yield (
        f"{plan.users:,} users gain something, {plan.awards:,} awards in all; notices: "
        + ", ".join(f"{count:,} with {manner}" for manner, count in plan.notices.items())
    )
    share = f" ({plan.points / plan.points_now:+.1%})" if plan.points_now else ""
    yield f"{plan.points:,} points more in '{plan.catalog}', where users have {plan.points_now:,}{share}"
    yield f"about {plan.minutes:g} minutes; {plan.records:,} records of its event types were read for this plan"
