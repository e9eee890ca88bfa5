"""An operator: publishes versions, starts replays of what they bring, pauses, resumes and cancels them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random

from msgspec.structs import replace

from processor.replay.changes import Changes, changes, unfinished_in
from processor.replay.late import Span
from replays.shadow import shadow_namespace
from schemas.program import CatalogRecord, encode_catalog_record
from schemas.replays import Notify, Publish, encode_order
from schemas.state import Control
from simulation.activity import NAMES, PLAYS
from simulation.broker import Broker, Sent
from simulation.catalogs import CATALOG, MILDER, program_of, records
from simulation.plan import How, Replays, Wish
from simulation.registry import Registry, Row, Whole
from simulation.replayer import controls_in

AGAIN_S = 1.0  # after being refused
INTERRUPTED_CHANCE = 0.2
PAUSED_S_MAX = 4.0
AGAIN_CHANCE = 0.6  # that what was cancelled is wished for once more
WHOLE_CHANCE = 0.7  # that all of a topic is to be folded again
REGRET_CHANCE = 0.02  # that a full one is called off, each time somebody looks at it
VERSIONS = (NAMES.catalogs, 0)


class Operator:
    """Shapes: published, every version in the topic; wishes, those that have not come true yet, each of which waits
    for the one before it."""

    def __init__(
        self,
        broker: Broker,
        partitions: int,
        plan: Replays,
        chance: Random,
        later: Callable[..., None],
        saw: Callable[[str], None],
    ) -> None:
        self._broker, self._chance, self._later, self.saw = broker, chance, later, saw
        self._assignments = [(NAMES.replay_assignments, number) for number in range(partitions)]
        self._changelog = [(NAMES.changelog, number) for number in range(partitions)]
        self._versions = records(plan.additions)
        additions = plan.additions
        self._milder = additions.index(MILDER) + 1 if MILDER in additions else len(self._versions)
        self.published = [*self._versions[:1]]
        self.registry, self.wishes, self._policy = Registry(), [*plan.wishes], plan.policy
        self.when_promoted: Callable[[], None] = lambda: None

    @property
    def is_content(self) -> bool:
        """Whether nothing is left to be done. What has failed is taken up again."""
        return not self.wishes and not self.registry.under_way() and not self.registry.of_status("failed")

    @property
    def versions(self) -> Sequence[CatalogRecord]:
        """Every version that there will be."""
        return self._versions

    def controls(self) -> dict[int, Control]:
        return controls_in(self._broker, self._changelog)

    def version(self, partition: int) -> CatalogRecord:
        """What runs there."""
        control = self.controls().get(partition)
        return self._versions[control.catalogs[CATALOG] - 1 if control is not None else 0]

    def begin(self) -> None:
        if self.wishes:
            self._later(self.wishes[0].after_s, self._try)

    def _try(self) -> None:
        """The first wish; again in a while when it cannot come true yet."""
        wish = self.wishes[0]
        if not self._is_too_early(wish) and GRANTED[wish.how](self, wish):
            self.wishes.pop(0)
            self.begin()
        else:
            self._later(AGAIN_S, self._try)

    def _is_too_early(self, wish: Wish) -> bool:
        """A replay by rules that refuse what live can read now would leave out what that gives."""
        rows = [self.registry.rows[id] for id in self.registry.under_way()]
        return wish.version >= self._milder and any(row.record.version <= self._milder for row in rows)

    # --- publishing ---

    def _publish(self, wish: Wish) -> bool:
        """The record and the orders, in one transaction."""
        record = self._versions[wish.version]
        epoch = self._broker.fence(NAMES.catalog_publisher) if self._is_known() else None
        if epoch is None:
            return False
        order = Sent(None, encode_order(Publish(catalogs={CATALOG: record.version})))
        rows = {VERSIONS: [sent(record)], **{place: [order] for place in self._assignments}}
        self._broker.add(NAMES.catalog_publisher, epoch, rows)
        for place, some in rows.items():
            self._broker.append(NAMES.catalog_publisher, epoch, place, some)
        self._broker.end(NAMES.catalog_publisher, epoch, commit=True)
        self.published.append(record)
        self.saw("version published")
        return True

    def _is_known(self) -> bool:
        """Whether every partition knows every replay: else what it fills would be counted from here on. Of a full
        one they know nothing, and nothing may be published beside it."""
        waiting, controls = {*self.registry.under_way()}, self.controls().values()
        known = [waiting <= control.replays.keys() for control in controls]
        return not waiting or (len(known) == len(self._changelog) and all(known))

    # --- replays ---

    def _replay(self, wish: Wish) -> bool:
        """In two steps, now and then interrupted between them. A lower version than is published is refused."""
        if self.publish_for_a_replay(self._versions[wish.version]) and self._chance.random() < INTERRUPTED_CHANCE:
            return False
        return self._is_known() and self._start(self.published[-1], wish.notify)

    def publish_for_a_replay(self, version: CatalogRecord) -> bool:
        """Whether it was not there yet, nor a later one."""
        is_new = version.version > self.published[-1].version
        if is_new:
            record = replace(version, announced=False)
            self.published.append(record)
            self._broker.publish(VERSIONS, [sent(record)])
        return is_new

    def _look_again(self, wish: Wish) -> bool:
        """At the past of everything that runs from the first version on: nobody gains anything."""
        first = self._versions[0]
        wanted = [(CATALOG, each.reference) for each in first.program.achievements]
        row = Row(f"replay-{len(self.registry.rows)}", first, [], [], wish.notify, wanted)
        self.saw("past looked at again")
        return self.registry.start(row)

    def _fold_late(self, wish: Wish) -> bool:
        """Once every partition can read it."""
        lowest = self._lowest()
        if len(self.controls()) < len(self._changelog) or lowest <= wish.version:
            return False
        spans = {number: self._span(number) for _, number in self._changelog}
        row = Row(f"replay-{len(self.registry.rows)}", self._versions[lowest - 1], [], [], wish.notify, spans=spans)
        started = self.registry.start(row)
        if started:
            self.saw("replay started: late")
        return started

    def _span(self, partition: int) -> Span:
        end = self._broker.extent((PLAYS, partition)).end
        if self._chance.random() < WHOLE_CHANCE:
            return Span(0, end, end)
        start = self._chance.randint(0, end)
        return Span(start, self._chance.randint(start, end), end)

    def _start(self, record: CatalogRecord, notify: Notify) -> bool:
        """False where another replay has what this one would fill or mute."""
        found = self._changes(record)
        if found.kind == "nothing":
            return True
        if found.kind == "full":
            return self._start_anew(record, notify)
        row = Row(f"replay-{len(self.registry.rows)}", record, found.muted, found.filling, notify)
        started = not found.conflicts and self.registry.start(row)
        if started:
            self.saw(f"replay started: {found.kind}")
        return started

    # --- everything anew ---

    def _reprocess(self, wish: Wish) -> bool:
        return self._start(self._versions[wish.version], wish.notify)

    def _start_anew(self, record: CatalogRecord, notify: Notify) -> bool:
        id = f"replay-{len(self.registry.rows)}"
        whole = Whole(shadow_namespace(NAMES, id), self._lowest(), len(self._changelog), self._policy)
        started = self.registry.start(Row(id, record, [], [], notify, whole=whole))
        if started:
            self.saw("replay started: full")
            self._later(AGAIN_S, self._see_to, self.registry.rows[id])
        return started

    def _see_to(self, row: Row) -> None:
        """Until it has ended: promote it when it is level, or call it off; take it up again when it has failed."""
        if row.status in ("running", "promoting") and self._chance.random() < REGRET_CHANCE:
            self._call_off(row)
        elif row.status == "running" and row.is_level:
            self.saw("promote")
            self.registry.change(row.id, "promote")
            self.when_promoted()
        elif row.status == "failed":
            self.saw("full replay failed")
            self.registry.change(row.id, "resume decided" if row.is_decided else "resume")
        if row.status not in ("done", "cancelled"):
            self._later(AGAIN_S, self._see_to, row)

    def _changes(self, record: CatalogRecord) -> Changes:
        running = self._versions[self._lowest() - 1]
        return changes(program_of(running), program_of(record), unfinished_in(self.controls().values()))

    def _lowest(self) -> int:
        """Of the versions that run anywhere."""
        return min((control.catalogs[CATALOG] for control in self.controls().values()), default=1)

    def pause(self) -> None:
        for row in self._some(self.registry.of_status("running")):
            self.saw("pause replay")
            self.registry.change(row.id, "pause")
            self._later(self._chance.random() * PAUSED_S_MAX, self.registry.change, row.id, "resume")

    def cancel(self) -> None:
        for row in self._some(self.registry.of_status("running", "paused", "promoting")):
            self._call_off(row)

    def _call_off(self, row: Row) -> None:
        self.saw("cancel replay" if row.whole is None else f"cancel full replay, {row.status}")
        self.registry.change(row.id, "cancel")
        if self._chance.random() < AGAIN_CHANCE:
            version, after_s = row.record.version - 1, self._chance.random() * PAUSED_S_MAX
            self._wish(Wish(how_again(row), version, after_s, row.notify))

    def _wish(self, wish: Wish) -> None:
        self.wishes.append(wish)
        if len(self.wishes) == 1:
            self.begin()

    def _some(self, rows: list[Row]) -> Iterable[Row]:
        """One of them, if there is any."""
        return [self._chance.choice(rows)] if rows else []


GRANTED: dict[str, Callable[[Operator, Wish], bool]] = {
    "replay": Operator._replay,
    "publish": Operator._publish,
    "look again": Operator._look_again,
    "late": Operator._fold_late,
    "anew": Operator._reprocess,
}


def how_again(row: Row) -> How:
    if row.whole is not None:
        return "anew"
    return "replay" if row.spans is None else "late"


def sent(record: CatalogRecord) -> Sent:
    return Sent(f"{record.catalog}/{record.version}".encode(), encode_catalog_record(record))
