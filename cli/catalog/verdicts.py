"""Whether a catalog does what its examples say, and what differs where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cli.catalog.examples import Example
from cli.catalog.expected import Expectation, Wanted
from cli.catalog.given import FIRST_AT
from cli.catalog.trial import Held, History, Trial
from progress.conditions import percent_of
from progress.levels import level_of
from progress.standing import Standing
from schemas.program import CatalogProgram, Ledger


class Difference(NamedTuple):
    """One thing that is not as expected. `after` names the step that decided, where one did."""

    user: str
    what: str
    expected: str
    got: str
    after: str | None = None

    def __str__(self) -> str:
        after = f", after {self.after}" if self.after else ""
        return f"{self.user}: {self.what}: expected {self.expected}, got {self.got}{after}"


class Verdict(NamedTuple):
    example: Example
    differences: list[Difference]

    @property
    def passed(self) -> bool:
        return not self.differences

    @property
    def told(self) -> dict[str, Any]:
        differences = [each._asdict() for each in self.differences]
        return {
            "name": self.example.name,
            "line": self.example.line,
            "passed": self.passed,
            "differences": differences,
        }


def judge(example: Example, catalog: CatalogProgram, ledger: Ledger) -> Verdict:
    trial = Trial(catalog, ledger)
    trial.run(example.given)
    end = max((given.at for given in example.given), default=FIRST_AT)
    differences = [*refusals(trial)]
    for expectation in example.expected:
        standing = trial.standing(expectation.user, end)
        differences += Judgement(expectation, trial, standing).differences()
    return Verdict(example, differences)


def refusals(trial: Trial) -> Iterator[Difference]:
    """An event that would be a dead letter is a mistake of the example."""
    for user, history in trial.histories.items():
        for given, why in history.refused:
            yield Difference(user, "the event", "to be readable", f"a dead letter: {why}", str(given))


class Judgement:
    """One expectation against what its user came to."""

    def __init__(self, expectation: Expectation, trial: Trial, standing: Standing) -> None:
        self._expected, self._trial, self._standing = expectation, trial, standing
        self._history: History = trial.history(expectation.user)

    def differences(self) -> Iterator[Difference]:
        yield from self._missing()
        yield from self._unexpected()
        yield from self._not_revoked()
        yield from self._metrics()
        yield from self._level()
        yield from self._progress()
        yield from self._claims()

    def _differs(self, what: str, expected: object, got: object, after: object = None) -> Difference:
        return Difference(self._expected.user, what, str(expected), str(got), None if after is None else str(after))

    def _missing(self) -> Iterator[Difference]:
        for wanted in [*self._expected.awards, *(self._expected.only or [])]:
            if not any(matches(wanted, held) for held in self._history.held):
                percent = self._percent(wanted.reference)
                yield self._differs(f"award {wanted}", "earned", f"not earned ({percent} %)")

    def _unexpected(self) -> Iterator[Difference]:
        for held in self._history.held:
            absent = any(matches(wanted, held) for wanted in self._expected.absent)
            only = self._expected.only
            if absent or (only is not None and not any(matches(wanted, held) for wanted in only)):
                name = Wanted(held.award.reference, held.award.scope or None)
                yield self._differs(f"award {name}", "not earned", "earned", held.after)

    def _not_revoked(self) -> Iterator[Difference]:
        lost = self._history.lost
        for wanted in self._expected.revoked:
            if not any(names(wanted, each.reference, each.scope) for each in lost):
                yield self._differs(f"award {wanted}", "revoked", "not revoked")

    def _metrics(self) -> Iterator[Difference]:
        for key, expected in self._expected.metrics.items():
            got = self._trial.metric(self._expected.user, key)
            if got != expected:
                yield self._differs(f"metric {key}", expected, "nothing yet" if got is None else got)

    def _level(self) -> Iterator[Difference]:
        level = level_of(self._standing)
        got = level.level if level else None
        if self._expected.level is not None and got != self._expected.level:
            yield self._differs("level", self._expected.level, "no levels in this catalog" if got is None else got)

    def _progress(self) -> Iterator[Difference]:
        for key, expected in self._expected.progress.items():
            got = self._percent(key)
            if got != expected:
                yield self._differs(f"progress of {key}", f"{expected} %", f"{got} %")

    def _claims(self) -> Iterator[Difference]:
        got, expected = self._history.answers, self._expected.claims
        if expected is not None and got != expected:
            yield self._differs("claims", ", ".join(expected), ", ".join(got) or "none")

    def _percent(self, key: str) -> int:
        """Of a key that has tiers that of the next one."""
        entries = [each for each in self._standing.entries.values() if key in (each.key, each.reference)]
        missing = [each for each in entries if not self._standing.holds(each)]
        return percent_of(self._standing, (missing or entries[-1:])[0])


def matches(wanted: Wanted, held: Held) -> bool:
    return names(wanted, held.award.reference, held.award.scope)


def names(wanted: Wanted, reference: str, scope: str) -> bool:
    """Whether an award is meant: by its key any tier is, and any scope where none is named."""
    is_key = wanted.reference in (reference, reference.partition("/")[0])
    return is_key and wanted.scope in (None, scope)
