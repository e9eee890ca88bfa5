"""The evaluator as the processor drives it: a log in chunks, its states through their wire form in between."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

import msgspec

from bench.reference import COMMANDS, Answer, Award, Result, Told, Unlock
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from schemas.catalog import read_catalog
from schemas.outcomes import (
    AnswerOutcome,
    AnyOutcome,
    ChallengeOutcome,
    CommandAnswered,
    LevelOutcome,
    Outcome,
    Revoked,
    RevokedOutcome,
    Unlocked,
    decode_any_outcome,
)
from schemas.program import CatalogProgram, Ledger, Program
from schemas.records import PlainRecord
from schemas.state import decode_state, fresh_state, metric_values
from tests.unit.random_logs import Said, topic_of

DERIVED = "x.derived"
APPENDED_MS = 1_780_000_000_000

Row = tuple[bytes, bytes] | tuple[bytes, bytes, int]  # key, value, perhaps when it was appended


@dataclass
class Changelog:
    """What a partition has written: its states, its outcomes, its derived events still to come.

    Shapes: outcomes as the reference's Result has them, awards being those held now.
    """

    states: dict[bytes, bytes | None] = field(default_factory=dict)
    derived: list[tuple[bytes, bytes]] = field(default_factory=list)
    awards: dict[Award, datetime] = field(default_factory=dict)
    unlocks: dict[Unlock, datetime] = field(default_factory=dict)
    told: dict[Unlock, Told] = field(default_factory=dict)
    revocations: dict[Unlock, list[dict[str, Any]]] = field(default_factory=dict)
    levels_reached: dict[tuple[str, str, int], datetime] = field(default_factory=dict)
    challenges: dict[tuple[str, str, str, str], datetime] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    points: dict[Award, int] = field(default_factory=dict)

    def take(self, said: AnyOutcome) -> None:
        """Nothing may be told twice."""
        if isinstance(said, Outcome):
            self._unlocked(said)
        elif isinstance(said, RevokedOutcome):
            self._revoked(said)
        elif isinstance(said, LevelOutcome):
            put(self.levels_reached, (said.subject, said.data.catalog, said.data.level), said.data.earned_at)
        elif isinstance(said, ChallengeOutcome):
            about = (said.subject, said.data.catalog, said.data.challenge, said.data.day.isoformat())
            put(self.challenges, about, said.data.earned_at)
        elif isinstance(said, AnswerOutcome):
            put(self.answers, said.data.command_id, answer_of(said.data))

    def _unlocked(self, said: Outcome) -> None:
        award = award_of(said.subject, said.data)
        put(self.awards, award, said.data.earned_at)
        self.points[award] = said.data.points
        put(self.unlocks, Unlock(award, said.data.n), said.data.earned_at)
        put(self.told, Unlock(award, said.data.n), Told(said.data.metadata, said.data.context))

    def _revoked(self, said: RevokedOutcome) -> None:
        award = award_of(said.subject, said.data)
        assert self.awards.pop(award) == said.data.earned_at
        reasons = [reason_of(msgspec.to_builtins(reason)) for reason in said.data.reasons]
        put(self.revocations, Unlock(award, said.data.n), reasons)


def level_of(catalog: CatalogProgram, values: dict[str, int | None]) -> int:
    assert catalog.levels is not None
    return max(1, bisect_right(catalog.levels.starts, values[catalog.levels.of] or 0))


def put(kept: dict[Any, Any], key: Any, value: Any) -> None:
    assert key not in kept, f"told twice: {key}"
    kept[key] = value


def award_of(user: str, data: Unlocked | Revoked) -> Award:
    tier = f"/{data.tier}" if data.tier else ""
    return user, data.catalog, data.achievement + tier, data.scope


def reason_of(said: dict[str, Any]) -> dict[str, Any]:
    """An award as the reference names it."""
    tier = said.pop("tier", None)
    return said | {"achievement": f"{said['achievement']}/{tier}"} if tier else said


def answer_of(said: CommandAnswered) -> Answer:
    missing = [(each.metric, each.value, each.target) for each in said.missing]
    return Answer(said.status, said.reason, missing[0] if missing else None)


class Driver:
    """Feeds a log to an evaluator in chunks, and replaces it by another that reads its changelog."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.program = compiled(texts)
        self.evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self.changelog = Changelog()
        self.counts = [0, 0, 0]
        self._offsets: dict[str, int] = {}

    def feed(self, topic: str, rows: Sequence[Row]) -> None:
        records = [self._record(topic, *row) for row in rows]
        folded = self.evaluator.fold(topic, records)
        assert folded.refused == []
        assert folded.applied + folded.duplicate + folded.skipped == len(records)
        if topic != DERIVED:
            counts = folded.applied, folded.duplicate, folded.skipped
            self.counts = [before + more for before, more in zip(self.counts, counts, strict=True)]

    def cut(self) -> None:
        states, outcomes, derived = self.evaluator.cut()[:3]
        self.changelog.states.update(states)
        self.changelog.derived += derived
        for _, value in outcomes:
            self.changelog.take(decode_any_outcome(value))

    def derive(self) -> None:
        """Give the derived events that were committed to their users."""
        self.cut()
        rows, self.changelog.derived = self.changelog.derived, []
        if rows:
            self.feed(DERIVED, rows)

    def restart(self) -> None:
        self.cut()
        self.evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self.evaluator.load(self.changelog.states.items())

    def metrics(self) -> dict[str, dict[str, dict[str, int | None]]]:
        fresh = fresh_state(self.program.ledger)
        rows = {user.decode(): row for user, row in self.changelog.states.items() if row is not None}
        return {user: metric_values(decode_state(row, fresh), self.program) for user, row in rows.items()}

    def result(self) -> Result:
        """What the log came to, as the reference tells it; derived events are not counted."""
        log, metrics = self.changelog, self.metrics()
        leveled = [each for each in self.program.catalogs if each.levels]
        return Result(
            awards=log.awards,
            metrics=metrics,
            points={user: self._points(user) for user in metrics},
            levels={
                user: {each.catalog: level_of(each, values[each.catalog]) for each in leveled}
                for user, values in metrics.items()
            },
            unlocks=log.unlocks,
            told=log.told,
            revocations=log.revocations,
            levels_reached=log.levels_reached,
            challenges=log.challenges,
            answers=log.answers,
            applied=self.counts[0],
            duplicates=self.counts[1],
            skipped=self.counts[2],
        )

    def _points(self, user: str) -> dict[str, int]:
        points = {each.catalog: 0 for each in self.program.catalogs}
        for award in self.changelog.awards:
            if award[0] == user:
                points[award[1]] += self.changelog.points[award]
        return points

    def _record(self, topic: str, key: bytes, value: bytes, appended_ms: int = APPENDED_MS) -> PlainRecord:
        self._offsets[topic] = offset = self._offsets.get(topic, -1) + 1
        return PlainRecord(offset, appended_ms, key, value)


def compiled(texts: Sequence[str]) -> Program:
    programs, ledger = [], Ledger()
    for text in texts:
        program, ledger = compile_catalog(read_catalog(text, "catalog"), ledger)
        programs.append(program)
    return Program(catalogs=programs, ledger=ledger, derived=DERIVED, commands=COMMANDS)


def row_of(said: Said) -> Row:
    """Only of a command it matters when it was appended."""
    appended = datetime.fromisoformat(said["appended"]) if "appended" in said else None
    appended_ms = int(appended.timestamp() * 1000) if appended else APPENDED_MS
    return said["subject"].encode(), json.dumps(said, ensure_ascii=False).encode(), appended_ms


def driven(texts: Sequence[str], log: Sequence[Said], breaks: set[int], at_once: bool) -> Driver:
    """The log folded in chunks: one ends at every break, where states also go through their wire form.

    With `at_once` derived events follow right after their parent, as in the reference; else at the breaks.
    """
    driver = Driver(texts)
    for chunk in chunks(log, breaks, at_once):
        driver.feed(topic_of(log[chunk[0]]), [row_of(log[place]) for place in chunk])
        ends = chunk[-1] + 1 in breaks
        if at_once or ends:
            driver.derive()
        if ends:
            driver.restart()
    driver.derive()
    driver.cut()
    return driver


def chunks(log: Sequence[Said], breaks: set[int], at_once: bool) -> Iterator[list[int]]:
    """Stretches of one topic; those that derive stand alone where the others are to follow at once."""
    number = 0

    def stretch(place: int) -> tuple[int, str]:
        nonlocal number
        alone = at_once and "invite" in (log[place]["type"], log[place - 1]["type"])
        number += place in breaks or alone
        return number, topic_of(log[place])

    for _, places in groupby(range(len(log)), key=stretch):
        yield list(places)


def evaluated(log: Sequence[Said], texts: Sequence[str]) -> Result:
    """What the evaluator makes of a log, each event in a chunk and a cut of its own; derived events at once."""
    driver = Driver(texts)
    topics = {each.type: each.topic for catalog in driver.program.catalogs for each in catalog.events}
    for said in log:
        topic = said.get("topic") or topics.get(said["type"]) or driver.program.sources[0]
        driver.feed(topic, [row_of({"appended": said["time"]} | said)])
        driver.derive()
    return driver.result()
