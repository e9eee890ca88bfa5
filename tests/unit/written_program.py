"""Programs written by hand, for tests of the fold alone: no reader, no compiler, every number given here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from processor.evaluator.partition import Folded, PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.outcomes import AnyOutcome, decode_any_outcome, encode_outcome
from schemas.program import (
    CLAIMS_WINDOW,
    COMMANDS_MARK,
    AchievementSpec,
    All,
    AtLeast,
    CatalogProgram,
    ChallengeSpec,
    ChallengesSpec,
    Condition,
    Default,
    EventSpec,
    Feed,
    FieldSpec,
    Ledger,
    LevelsSpec,
    MetricSpec,
    Program,
)
from schemas.program import Any as AnyOf
from schemas.records import PlainRecord
from schemas.state import HEAD_SLOTS, decode_state, fresh_state, slots_of

TOPIC, COMMANDS = "toy", "x.commands"
APPENDED_MS = 1_900_000_000_000  # 2030: later than every event
FIELDS = [
    FieldSpec(name="item", type="string", optional=True),
    FieldSpec(name="title", type="string", optional=True),
    FieldSpec(name="amount", type="integer", optional=True),
    FieldSpec(name="price", type="decimal", places=2, optional=True),
    FieldSpec(name="tags", type="strings", optional=True),
]
TYPES = ("done", "undone", "seen", "frozen", "changed")


class Slots:
    """Gives slots one after the other."""

    def __init__(self) -> None:
        self.given: list[Default] = []

    def take(self, *slots: Default) -> int:
        first = HEAD_SLOTS + len(self.given)
        self.given.extend(slots)
        return first


def condition(said: Any, numbers: dict[str, int], *, compound: bool = False) -> Condition:
    """`"m >= 3"`, {"all": […]}, {"any": […]}; a comparison of a compound gets a number."""
    if isinstance(said, str):
        metric, _, at = said.split()
        number = numbers.setdefault(said, len(numbers)) if compound else None
        return AtLeast(metric=metric, at=int(at), number=number)
    ((word, parts),) = said.items()
    of = [condition(part, numbers, compound=True) for part in parts]
    return All(of=of) if word == "all" else AnyOf(of=of)


def written(
    metrics: Iterable[MetricSpec],
    achievements: Iterable[dict[str, Any]] = (),
    levels: dict[str, Any] | None = None,
    challenges: Sequence[ChallengeSpec] = (),
    per_day: int = 3,
    zone: str = "UTC",
) -> Program:
    """A program of one catalog, `toy`, whose events all have the same fields.

    Shapes: an achievement is what its spec says, `when` as `condition` takes it, and `scoped` for a slot of scopes.
    """
    slots, numbers = Slots(), {}
    mark, commands = slots.take("mark"), slots.take("mark")
    events = [EventSpec(type=name, topic=TOPIC, fields=FIELDS, window=slots.take("bytes")) for name in TYPES]
    claims = slots.take("bytes")
    specs = [placed(metric, slots) for metric in metrics]
    awards = [achievement(said, numbers, slots) for said in achievements]
    catalog = CatalogProgram(
        catalog="toy",
        version=1,
        sha256="0" * 64,
        timezone=zone,
        events=events,
        metrics=specs,
        achievements=awards,
        levels=None if levels is None else LevelsSpec(**levels, slot=slots.take("zero")),
        challenges=ChallengesSpec(per_day=per_day, slot=slots.take("bytes"), offered=list(challenges))
        if challenges
        else None,
    )
    ledger = Ledger(
        slots=slots.given, marks={TOPIC: mark, COMMANDS_MARK: commands}, windows={CLAIMS_WINDOW: claims}
    )
    return Program(catalogs=[catalog], ledger=ledger, derived="x.derived", commands=COMMANDS)


def placed(metric: MetricSpec, slots: Slots) -> MetricSpec:
    spec = replace(metric, slot=slots.take(*slots_of(metric)))
    return replace(spec, edges=slots.take("bytes")) if metric.kind == "streak" else spec


def achievement(said: dict[str, Any], numbers: dict[str, int], slots: Slots) -> AchievementSpec:
    said = dict(said)
    scoped = said.pop("scoped", False)
    when = said.pop("when", {"all": []})
    compound = bool(said.get("requires"))
    reference = f"award {said['key']}/{said.get('tier')}"
    return AchievementSpec(
        **{"name": said["key"].title(), **said},
        number=numbers.setdefault(reference, len(numbers)),
        when=condition(when, numbers, compound=compound),
        scopes=slots.take("bytes") if scoped else None,
    )


def metric(key: str, kind: Any = "count", plus: str = "done", minus: str | None = None, **said: Any) -> MetricSpec:
    feeds = [Feed(type=plus)] + ([Feed(type=minus, sign=-1)] if minus else [])
    return MetricSpec(key=key, kind=kind, slot=0, feeds=feeds, **said)


def xp(*feeds: Feed) -> MetricSpec:
    return MetricSpec(key="xp", kind="xp", slot=0, feeds=list(feeds))


class Fold:
    """The fold of a program, one record at a time, and what came out of it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.evaluator = PartitionEvaluator(ReadyProgram(program), 0, 1)
        self.offset = 0

    def take(self, kind: str, at: str = "2026-05-01T10:00:00Z", user: str = "ann", **said: Any) -> list[AnyOutcome]:
        """Fold one event; returns its outcomes. What is no attribute is data."""
        self.apply(kind, at, user, **said)
        return self.told()

    def apply(self, kind: str, at: str = "2026-05-01T10:00:00Z", user: str = "ann", **said: Any) -> Folded:
        """Fold one event, and leave its outcomes to the next cut."""
        attributes = {name: said.pop(name) for name in ("timezone", "id") if name in said}
        return self._apply(TOPIC, {"type": kind, "subject": user, "time": at, "data": said} | attributes)

    def claim(self, appended: str, user: str = "ann", **said: Any) -> list[AnyOutcome]:
        """Fold a claim appended at this time, which is its own time, too."""
        attributes = {name: said.pop(name) for name in ("timezone", "id") if name in said}
        whole = {"type": "claim_challenge", "subject": user, "time": appended, "data": {"catalog": "toy"} | said}
        return self.fold(COMMANDS, whole | attributes, milliseconds(appended))

    def fold(self, topic: str, event: dict[str, Any], appended: int = APPENDED_MS) -> list[AnyOutcome]:
        self._apply(topic, event, appended)
        return self.told()

    def _apply(self, topic: str, event: dict[str, Any], appended: int = APPENDED_MS) -> Folded:
        self.offset += 1
        whole = {"specversion": "1.0", "id": f"e{self.offset}", "source": "/web"} | event
        record = PlainRecord(self.offset, appended, whole["subject"].encode(), json.dumps(whole).encode())
        folded = self.evaluator.fold(topic, [record])
        assert not folded.refused, folded.refused
        return folded

    def told(self) -> list[AnyOutcome]:
        """The outcomes since the last cut."""
        rows = self.evaluator.cut().outcomes
        outcomes = [decode_any_outcome(value) for _, value in rows]
        assert [encode_outcome(outcome) for outcome in outcomes] == [value for _, value in rows]
        assert [key.decode() for key, _ in rows] == [outcome.subject for outcome in outcomes]
        return outcomes

    def state(self, user: str = "ann") -> list[Any]:
        row = self.evaluator.get(user.encode())
        assert row is not None
        return decode_state(row, fresh_state(self.program.ledger))


def milliseconds(at: str) -> int:
    return int(datetime.fromisoformat(at).astimezone(UTC).timestamp() * 1000)


def told(outcomes: Iterable[AnyOutcome]) -> list[str]:
    """Outcomes in short: `+key`, `-key`, with tier, scope and n where they say something; `level 3`; `done key`."""
    return [_in_short(outcome) for outcome in outcomes]


def _in_short(outcome: AnyOutcome) -> str:
    data: Any = outcome.data
    match outcome.type:
        case "level_reached":
            return f"level {data.level}"
        case "challenge_completed":
            return f"done {data.challenge}"
        case "command_answered":
            return f"{data.status} {data.reason or ''}".strip()
    tier, scope, n = f"/{data.tier}" if data.tier else "", f" {data.scope}" if data.scope else "", data.n
    sign = "+" if outcome.type == "achievement_unlocked" else "-"
    return f"{sign}{data.achievement}{tier}{scope}" + (f" #{n}" if n else "")
