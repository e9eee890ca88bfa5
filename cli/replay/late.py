"""What `laurel replay plan` and `start` say and ask where a stretch of a topic is folded again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.output import progress
from cli.verify import users_in
from replays.late_intent import Wish, intend
from replays.late_planning import Counting, Plan, Sum
from replays.settings import ReplaySettings
from schemas.replays import Notify

TopicOption = Annotated[
    str | None, typer.Option("--topic", metavar="T", help="Instead of a catalog: a stretch of this topic again.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Of the stretch: appended at this time, or later.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="And before this one.")]
UsersOption = Annotated[
    Path | None, typer.Option("--users", metavar="FILE", help="These users alone, an id a line.")
]


def refuse_mixed(catalog: str | None, topic: str | None, since: str | None, until: str | None) -> None:
    """Raises: typer.BadParameter."""
    if (catalog is None) == (topic is None):
        raise typer.BadParameter("give either --catalog FILE, or --topic T with --from and --until")
    if (topic is None) != (since is None and until is None) or (since is None) != (until is None):
        raise typer.BadParameter("--topic, --from and --until belong together: give all three")


def wish_for(
    topic: str,
    since: str | None,
    until: str | None,
    users: Path | None,
    id: str | None = None,
    notify: Notify = "digest",
    accept_truncated: bool = False,
) -> Wish:
    """Raises: typer.BadParameter for what is no time, or comes in another order; Precondition for no users."""
    begin, end = moment_in("--from", since or ""), moment_in("--until", until or "")
    if begin >= end:
        raise typer.BadParameter(f"--from {since} is not before --until {until}")
    return Wish(topic, begin, end, users_in(users) if users else None, id, notify, accept_truncated)


def moment_in(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} '{text}' is no time: write it like 2026-06-01T12:00:00Z") from None
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{option} '{text}' has no offset: end it with Z, or with one like +02:00")
    return moment


async def planned(settings: ReplaySettings, wish: Wish) -> Plan:
    intent = await intend(settings.kafka, settings.names, wish)
    with progress("reading the stretch again") as show:
        return await Counting(settings, intent).run(lambda records: show(records=records))


def as_told(plan: Plan) -> dict[str, Any]:
    return {
        **plan._asdict(),
        "kind": "late",
        "events": [each._asdict() for each in plan.events],
        "gains": [gain._asdict() for gain in plan.gains],
    }


def plan_told(plan: Plan) -> Iterator[str]:
    total = sum(sum(each[1:7]) for each in plan.events)
    yield (
        f"{plan.topic} from {plan.since.isoformat()} until {plan.until.isoformat()}: {total:,} records in "
        f"{plan.partitions} partitions"
    )
    yield from (f"  {each.type}: {', '.join(_said(each))}" for each in plan.events)
    yield ""
    yield from _outcome(plan)
    yield from (f"{each}: needs --accept-truncated" for each in plan.truncated)


def _said(events: Sum) -> Iterator[str]:
    causes = ", ".join(f"{count:,} {cause}" for cause, count in sorted(events.causes.items()))
    said = {
        "counted then": events.counted,
        "not counted then and readable now": events.readable,
        f"still refused ({causes})": events.refused,
        "of a type that no catalog declares": events.unknown,
        "published again since": events.republished,
        "folded late before": events.given,
    }
    yield from (f"{count:,} {what}" for what, count in said.items() if count)


def _outcome(plan: Plan) -> Iterator[str]:
    if not plan.folded:
        yield "nothing to do: `laurel replay start` refuses it"
        return
    yield f"{plan.folded:,} records of {plan.users:,} users would be folded as if they arrived now"
    for gain in plan.gains:
        awards = f", {gain.awards:,} awards" if gain.awards != gain.users else ""
        yield f"{gain.users:,} users gain {gain.catalog}/{gain.achievement} ({gain.name}){awards}"
    notices = ", ".join(f"{count:,} with {manner}" for manner, count in plan.notices.items())
    yield f"{plan.winners:,} users gain something, {plan.awards:,} awards in all; notices: {notices}"
    yield f"{plan.points:,} points more; about {plan.minutes:g} minutes"
