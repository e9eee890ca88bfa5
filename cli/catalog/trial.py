"""A catalog tried out on an example: the real evaluator, in memory, one event after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import msgspec

from cli.catalog.given import Given
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from progress.rows import Award, LevelReached, Person, Run
from progress.standing import Standing, unscaled
from schemas.outcomes import (
    AnswerOutcome,
    AnyOutcome,
    LevelOutcome,
    Outcome,
    RevokedOutcome,
    decode_any_outcome,
)
from schemas.program import CatalogProgram, Ledger, MetricSpec, Program
from schemas.records import PlainRecord
from schemas.state import ZONE, State, decode_state, fresh_state, period_values, present_chain, value_reader
from schemas.topics import Names

CLAIM_TYPE = "claim_challenge"
SOURCE = "/examples"


class Held(msgspec.Struct, frozen=True):
    """An award, and after which step it was earned."""

    award: Award
    after: Given


class Lost(msgspec.Struct, frozen=True):
    """An award that was taken back."""

    reference: str
    scope: str
    after: Given


@dataclass
class History:
    """What one user was told, in order."""

    held: list[Held] = field(default_factory=list)
    lost: list[Lost] = field(default_factory=list)
    levels: list[LevelReached] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: list[tuple[Given, str]] = field(default_factory=list)

    def take(self, told: AnyOutcome, after: Given) -> None:
        if isinstance(told, Outcome):
            self.held.append(Held(award_of(told), after))
        elif isinstance(told, RevokedOutcome):
            self._lose(told, after)
        elif isinstance(told, LevelOutcome):
            self.levels.append(msgspec.convert(told.data, LevelReached, from_attributes=True))
        elif isinstance(told, AnswerOutcome):
            self.answers.append(told.data.reason or told.data.status)

    def _lose(self, told: RevokedOutcome, after: Given) -> None:
        self.held = [each for each in self.held if each.award.id != told.data.award_id]
        reference = told.data.achievement + (f"/{told.data.tier}" if told.data.tier else "")
        self.lost.append(Lost(reference, told.data.scope, after))


def award_of(told: Outcome) -> Award:
    said = msgspec.to_builtins(told.data) | {"id": told.id, "awarded_at": told.time}
    return msgspec.convert(said, Award, strict=False)


class Trial:
    """One catalog and the users of one example, from nothing."""

    def __init__(self, catalog: CatalogProgram, ledger: Ledger) -> None:
        names = Names()
        program = Program(catalogs=[catalog], ledger=ledger, derived=names.derived, commands=names.commands)
        self._catalog, self._program = catalog, program
        self._topics = {event.type: event.topic for event in catalog.events}
        self._evaluator = PartitionEvaluator(ReadyProgram(program.as_published()), 0, 1)
        self._fresh = fresh_state(ledger)
        self._offset = -1
        self.histories: dict[str, History] = {}

    def run(self, given: Iterable[Given]) -> None:
        for each in given:
            self._take(each)

    def history(self, user: str) -> History:
        return self.histories.setdefault(user, History())

    def _take(self, given: Given) -> None:
        topic = self._program.commands if given.is_claim else self._topics[given.type] or ""
        self._fold(topic, [(given.user.encode(), json.dumps(cloud_event(given)).encode())], given)

    def _fold(self, topic: str, rows: list[tuple[bytes, bytes]], given: Given) -> None:
        """Fold records, and what others get out of them."""
        folded = self._evaluator.fold(topic, [self._record(key, value, given.at) for key, value in rows])
        for _, why in folded.refused:
            self.history(given.user).refused.append((given, str(why)))
        cut = self._evaluator.cut()
        for key, value in cut.outcomes:
            self.history(key.decode()).take(decode_any_outcome(value), given)
        if cut.derived:
            self._fold(self._program.derived, list(cut.derived), given)

    def _record(self, key: bytes, value: bytes, at: datetime) -> PlainRecord:
        self._offset += 1
        return PlainRecord(self._offset, int(at.timestamp() * 1000), key, value)

    # --- what a user came to ---

    def metric(self, user: str, key: str) -> int | Decimal | None:
        """In the unit in which an author writes it."""
        metric = next(each for each in self._catalog.metrics if each.key == key)
        value = value_reader(metric)(self._state(user), metric.slot)
        return None if value is None else unscaled(metric, value)

    def standing(self, user: str, now: datetime) -> Standing:
        return Standing(self._catalog, self._person(user), now)

    def _person(self, user: str) -> Person:
        state, history = self._state(user), self.history(user)
        streaks = [metric for metric in self._catalog.metrics if metric.kind == "streak"]
        return Person(
            user=user,
            zone=state[ZONE],
            metrics={metric.key: kept_of(state, metric) for metric in self._catalog.metrics},
            streaks={metric.key: run_of(state, metric) for metric in streaks},
            awards=[each.award for each in reversed(history.held)],
            levels=history.levels,
        )

    def _state(self, user: str) -> State:
        row = self._evaluator.get(user.encode())
        return self._fresh if row is None else decode_state(row, self._fresh)


def cloud_event(given: Given) -> dict[str, object]:
    zone = {"timezone": given.timezone} if given.timezone else {}
    return {
        "specversion": "1.0",
        "id": given.id,
        "source": SOURCE,
        "type": CLAIM_TYPE if given.is_claim else given.type,
        "subject": given.user,
        "time": given.at.isoformat(),
        "data": given.data,
        **zone,
    }


def kept_of(state: State, metric: MetricSpec) -> int | dict[str, int] | None:
    return period_values(state, metric) if metric.every else value_reader(metric)(state, metric.slot)


def run_of(state: State, metric: MetricSpec) -> Run:
    chain, longest = present_chain(state, metric), value_reader(metric)(state, metric.slot) or 0
    if chain is None:
        return Run()
    return Run(
        first_day=chain.first_day,
        last_day=chain.last_day,
        length=chain.length,
        longest=longest,
        freezes=chain.freezes_left,
    )
