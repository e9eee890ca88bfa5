"""Whether what Postgres shows of some users is what the log comes to when it is folded anew.

Events flow meanwhile. So a user who differs is looked at again: whoever had no record since is told, and whoever
had one is compared once more when that is visible.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg import Connection

from broker.catalogs import read_records
from broker.controls import read_controls
from broker.positions import Positions
from broker.topics import partition_counts
from processor.replay.changes import that_counted
from projections.statements import statements
from replays.exemptions import Exempt, Past, Replayed, exempt
from replays.history import lost_beginnings
from replays.intent import program_at
from replays.recomputation import Award, Held, Recomputation, Values, folded_topics
from replays.uncounted import Uncounted
from schemas.errors import Precondition
from schemas.program import Program
from schemas.replays import Named
from schemas.state import Control
from schemas.topics import Names

SQL = statements("verifying.sql", "replays")
LOOKS_MAX = 6

Visible = Callable[[Positions], Awaitable[None]]
"""Waits until what stands before these positions can be seen in Postgres."""


class Difference(NamedTuple):
    """Shapes: what is `award` or `metric`; shown and folded are a time, a value, or None where there is nothing."""

    user: str
    catalog: str
    what: str
    key: str
    scope: str
    shown: Any
    folded: Any

    def __str__(self) -> str:
        scope = f" ({self.scope})" if self.scope else ""
        return f"{self.user}: {self.what} {self.catalog}/{self.key}{scope} {self._told()}"

    def _told(self) -> str:
        if self.what == "award" and self.shown is None:
            return f"is not shown, and was earned {self.folded}"
        if self.what == "award" and self.folded is None:
            return f"is shown, earned {self.shown}, and the log does not give it"
        return f"is shown as {self.shown}, and is {self.folded} by the log"


class LeftOut(NamedTuple):
    """Shapes: what is `metric`, `achievement`, or `date` of an achievement that is compared otherwise; or `record`,
    of which catalog is the topic, and key its partition and offset.
    """

    what: str
    catalog: str
    key: str
    why: str


class Verdict(NamedTuple):
    """Shapes: unsettled, users who had new events at every look; awards and metrics count what was compared; due,
    awards that the log gives by a rule that nobody has replayed, and that are not held.
    """

    users: int
    records: int
    awards: int
    metrics: int
    differences: list[Difference]
    due: list[Award]
    left_out: list[LeftOut]
    unsettled: list[str]


class Shown(NamedTuple):
    """What Postgres shows. Shapes: awards -> how they stand and the version that gave them."""

    awards: dict[Award, tuple[Held, int]]
    metrics: dict[str, Values]


class Rules(NamedTuple):
    """What a partition runs, and what of it is not compared, by catalog."""

    program: Program
    exempt: dict[str, Exempt]


# --- which users ---


def sample(connection: Connection, count: int, seed: int) -> list[str]:
    """So many users whom the read models know; the same ones for the same seed, as long as they are the same."""
    rows = connection.execute(SQL["sample"], {"count": count, "seed": str(seed)}, prepare=False).fetchall()
    return sorted(user for (user,) in rows)


# --- what runs, and since when ---


async def rules_of_partitions(
    bootstrap: str, names: Names, replays: Sequence[Replayed], catalog: str | None
) -> dict[int, Rules]:
    """By partition. Raises: Precondition when nothing has run yet, or no such catalog runs."""
    controls = await read_controls(bootstrap, names)
    partitions = (await partition_counts(bootstrap, [names.changelog]))[names.changelog]
    if not controls:
        raise Precondition(
            f"no worker has run in namespace '{names.namespace}' yet: start one with `laurel worker`"
        )
    records = await read_records(bootstrap, names)
    newest = max(controls.values(), key=lambda control: sorted(control.catalogs.items()))
    run = {number: _versions(controls.get(number, newest)) for number in range(partitions)}
    programs = {versions: program_at(records, names, dict(versions)) for versions in {*run.values()}}
    lost = await _truncated(bootstrap, {number: programs[versions] for number, versions in run.items()})
    past = Past(that_counted(records, controls.values()), replays, unfinished(controls), lost)
    rules = {versions: _rules(program, past, names, catalog) for versions, program in programs.items()}
    return {number: rules[versions] for number, versions in run.items()}


def _versions(control: Control) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(control.catalogs.items()))


def unfinished(controls: Mapping[int, Control]) -> set[Named]:
    """What is muted or filled by a replay that is not done, or was, by one that was cancelled."""
    return {
        (name[0], name[1])
        for control in controls.values()
        for note in control.replays.values()
        if note.phase != "done"
        for name in [*note.muted, *note.filling]
    }


async def _truncated(bootstrap: str, programs: Mapping[int, Program]) -> dict[str, str]:
    places = [(topic, number) for number, program in programs.items() for topic in folded_topics(program)]
    return {begin.topic: str(begin) for begin in await lost_beginnings(bootstrap, places)}


def _rules(program: Program, past: Past, names: Names, catalog: str | None) -> Rules:
    compared = [each for each in program.catalogs if catalog in (None, each.catalog)]
    if not compared:
        runs = ", ".join(each.catalog for each in program.catalogs)
        raise Precondition(f"catalog '{catalog}' does not run: {runs} do; is it published, and a worker there?")
    return Rules(program, {each.catalog: exempt(each, past, names) for each in compared})


# --- comparing ---


class Comparison:
    """What is shown against what was folded."""

    def __init__(self, rules: Mapping[int, Rules], recomputation: Recomputation) -> None:
        self._rules, self._recomputation = rules, recomputation
        self._compared: dict[str, set[tuple[str, ...]]] = {"award": set(), "metric": set()}
        self.due: set[Award] = set()

    def compared(self, what: str) -> int:
        """How many awards or metrics were looked at."""
        return len(self._compared[what])

    def differences(self, shown: Shown, users: Collection[str]) -> dict[str, list[Difference]]:
        """By user, of those who differ."""
        folded_awards = _by_user(self._recomputation.awards())
        shown_awards = _by_user(shown.awards.items())
        folded_metrics = self._recomputation.metrics()
        found = {
            user: [
                *self._of_awards(user, shown_awards.get(user, {}), folded_awards.get(user, {})),
                *self._of_metrics(user, shown.metrics.get(user, {}), folded_metrics.get(user, {})),
            ]
            for user in sorted(users)
        }
        return {user: each for user, each in found.items() if each}

    def _of_awards(
        self, user: str, shown: Mapping[Award, tuple[Held, int]], folded: Mapping[Award, Held]
    ) -> Iterator[Difference]:
        rules = self._rules_of(user)
        for award in sorted(shown.keys() | folded.keys()):
            _, catalog, reference, scope = award
            there, version = shown.get(award, (None, None))
            left_out = rules.exempt.get(catalog)
            if left_out is not None and there is None and reference in left_out.due:
                self.due.add(award)
            if left_out is None or not _is_compared(left_out, reference, version):
                continue
            self._compared["award"].add(award)
            is_dated = reference not in left_out.undated
            if _plain(there, is_dated) != _plain(folded.get(award), is_dated):
                yield Difference(user, catalog, "award", reference, scope, *map(_told, (there, folded.get(award))))

    def _of_metrics(self, user: str, shown: Values, folded: Values) -> Iterator[Difference]:
        """A metric that is not there is one that nothing has moved since it came."""
        for catalog, left_out in self._rules_of(user).exempt.items():
            there, by_log = shown.get(catalog, {}), folded.get(catalog, {})
            for metric in sorted((there.keys() | by_log.keys()) & self._named(user, catalog)):
                if metric in left_out.metrics:
                    continue
                self._compared["metric"].add((user, catalog, metric))
                if (there.get(metric) or 0) != (by_log.get(metric) or 0):
                    yield Difference(user, catalog, "metric", metric, "", there.get(metric), by_log.get(metric))

    def _named(self, user: str, catalog: str) -> set[str]:
        programs = self._rules_of(user).program.catalogs
        return {metric.key for each in programs if each.catalog == catalog for metric in each.metrics}

    def _rules_of(self, user: str) -> Rules:
        return self._rules[self._recomputation.partition_of(user)]


def _by_user(awards: Any) -> dict[str, dict[Award, Any]]:
    found: dict[str, dict[Award, Any]] = {}
    for award, held in awards:
        found.setdefault(award[0], {})[award] = held
    return found


def _is_compared(left_out: Exempt, reference: str, version: int | None) -> bool:
    """An award of an achievement that is not there any more, or that an earlier rule gave, was kept."""
    if reference not in left_out.since or reference in left_out.achievements:
        return False
    return version is None or version >= left_out.since[reference]


def _plain(held: Held | None, is_dated: bool) -> tuple[int, datetime | None] | None:
    return held and (held.n, held.earned_at if is_dated else None)


def _told(held: Held | None) -> str | None:
    if held is None:
        return None
    times = f", revoked {held.n} times before" if held.n else ""
    return f"{held.earned_at:%Y-%m-%dT%H:%M:%S.%fZ}{times}"


def read_shown(connection: Connection, users: Collection[str]) -> Shown:
    """Awards and metrics of one moment."""
    named = {"users": list(users)}
    with connection.transaction():
        connection.execute(SQL["snapshot"])
        awards = connection.execute(SQL["awards"], named).fetchall()
        metrics = connection.execute(SQL["metrics"], named).fetchall()
    held = {(user, *award): (Held(n, at), version) for user, *award, n, at, version in awards}
    return Shown({(each[0], each[1], each[2], each[3]): value for each, value in held.items()}, dict(metrics))


# --- the whole of it ---


class Verification:
    """Folds, waits until that is visible, compares; and again for those who differ and have moved."""

    def __init__(
        self,
        bootstrap: str,
        connection: Connection,
        rules: Mapping[int, Rules],
        users: Collection[str],
        uncounted: Uncounted,
    ) -> None:
        self._connection, self._rules, self._users, self._uncounted = connection, rules, users, uncounted
        programs = {number: each.program for number, each in rules.items()}
        self._recomputation = Recomputation(bootstrap, programs, users, uncounted)
        self._comparison = Comparison(rules, self._recomputation)

    async def verdict(self, visible: Visible) -> Verdict:
        """Raises: LaurelError when what is folded does not become visible."""
        confirmed: list[Difference] = []
        await self._recomputation.read_on()
        differing = await self._look(self._users, visible)
        for _ in range(LOOKS_MAX if differing else 0):
            moved = await self._recomputation.read_on()
            confirmed += [each for user, found in differing.items() if user not in moved for each in found]
            differing = await self._look([user for user in differing if user in moved], visible)
            if not differing:
                break
        return self._told(confirmed, sorted(differing))

    async def _look(self, users: Collection[str], visible: Visible) -> dict[str, list[Difference]]:
        if not users:
            return {}
        await visible(self._recomputation.positions)
        return self._comparison.differences(read_shown(self._connection, users), users)

    def _told(self, confirmed: list[Difference], unsettled: list[str]) -> Verdict:
        return Verdict(
            users=len(self._users),
            records=self._recomputation.records,
            awards=self._comparison.compared("award"),
            metrics=self._comparison.compared("metric"),
            differences=sorted(confirmed, key=lambda each: each[:5]),
            due=sorted(self._comparison.due),
            left_out=[*left_out(self._rules), *self._records_left_out()],
            unsettled=unsettled,
        )

    def _records_left_out(self) -> Iterator[LeftOut]:
        return (LeftOut("record", *each) for each in self._uncounted.why(self._recomputation.places()))


def left_out(rules: Mapping[int, Rules]) -> list[LeftOut]:
    """Of all partitions, each thing once."""
    found = {
        row for each in rules.values() for catalog, what in each.exempt.items() for row in _rows(catalog, what)
    }
    return sorted(found)


def _rows(catalog: str, what: Exempt) -> Iterator[LeftOut]:
    kinds = (("metric", what.metrics), ("achievement", what.achievements), ("date", what.undated))
    return (LeftOut(kind, catalog, key, why) for kind, keys in kinds for key, why in keys.items())


def replayed(connection: Connection) -> list[Replayed]:
    """The replays that are done."""
    rows = connection.execute(SQL["replayed"]).fetchall()
    return [
        Replayed(catalog, version, _of(catalog, filling), {*_of(catalog, muted), *(named or ())}, dates)
        for catalog, version, filling, muted, named, dates in rows
    ]


def _of(catalog: str, named: Sequence[Sequence[str]]) -> set[str]:
    return {name for of, name in named if of == catalog}
