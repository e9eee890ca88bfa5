"""Whether what is left of a simulation is what the reference makes of the same log: I1 to I8 of the design."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from bench import reference
from bench.reference import Award, Result, Unlock
from processor.evaluator.partition import PartitionEvaluator
from processor.kafka.dead_letters import PREFIX
from projections.award import AwardData
from projections.digest import digest_id
from schemas.outcomes import (
    AnswerOutcome,
    AnyOutcome,
    LevelOutcome,
    Outcome,
    ReplayOutcome,
    Revoked,
    RevokedOutcome,
    Unlocked,
    decode_any_outcome,
)
from schemas.program import Program
from schemas.records import PlainRecord
from schemas.replays import Named, Policy
from schemas.state import CONTROL_KEY, decode_control, decode_state, fresh_state, metric_values
from schemas.topics import Names
from simulation.activity import NAMES, SOURCES, Publication
from simulation.catalogs import ADDITIONS, ANEW, CATALOG, MILDER, names_of, program_of, ready, said
from simulation.registry import Row
from simulation.world import World

Metrics = dict[str, dict[str, dict[str, int | None]]]
EMPTY = {"best": None, "stars": None}  # where others are 0
ANNOUNCED = ("ahead",)  # when they are lost
Where = tuple[str, int, int]
"""Topic, partition and offset."""


def complaints(world: World) -> list[str]:
    """What is wrong, each beginning with the invariant that it breaks."""
    if world.complaints:
        return [*world.complaints]
    judged = Judged(world)
    checks = (
        outcomes,
        read_models,
        notifications,
        states,
        positions,
        counts,
        dead_letters,
        replays,
        belated,
        shadows,
    )
    return [f"{check.__doc__}: {told}"[:1500] for check in (*checks, shadows) for told in check(world, judged)]


class Judged:
    """The source records as they lie in the log, and what the reference says of the events among them.

    Shapes: loose are the events that were refused first, for a later version to read; silent are users who have
    nothing else, and of whom nothing is to be seen: they may have a state, or none; before is what was there where
    a shadow took over.
    """

    def __init__(self, world: World) -> None:
        self._by_bytes = {(each.sent.key, each.sent.value): each for each in world.published}
        self.events: dict[Where, dict[str, Any]] = {}
        self.refused: dict[Where, Publication] = {}
        self.loose: dict[Where, dict[str, Any]] = {}
        self.dead_letters = dead_letters_in(world)
        self.skipped = 0
        self.silent: Metrics = {}
        self.before: Result | None = None
        for topic in SOURCES:
            for number in range(world.plan.partitions):
                for record in world.broker.partition((topic, number)).committed():
                    self._judge((topic, number, record.offset), record)
        self.additions = in_force(world)
        self.result = self._folded(world)

    def _judge(self, where: Where, record: PlainRecord) -> None:
        publication = self._by_bytes[record.key, record.value]
        if publication.event is not None and (publication.refusal is None or where not in self.dead_letters):
            self.events[where] = publication.event
        elif publication.refusal is not None:
            self.refused[where] = publication
            self.loose.update({where: publication.event} if publication.event is not None else {})
        else:
            self.skipped += 1

    def _folded(self, world: World) -> Result:
        """What is folded late counts where it was; in what a replay filled that could read it, where it lies."""
        catalog = said(self.additions)
        if (row := promoted(world)) is not None:
            return self._promoted(world, row)
        if not self.loose:
            return reference.fold(self.events.values(), [catalog])
        turns = enumerate(world.belated)
        late = {(each.topic, each.partition, each.offset): (each.at, turn) for turn, each in turns}
        events = self.events | {where: self.loose[where] for where in late}
        result = reference.fold(in_order(events, late), [catalog])
        if names := read_milder(world):
            past = reference.fold(in_order(self.events | self.loose, {}), [catalog])
            late_only = past.metrics.keys() - result.metrics.keys()
            take_over(result, past, names)
            silent = [user for user in late_only if not any(result.metrics[user][CATALOG].values())]
            self.silent = {user: result.metrics.pop(user) for user in silent}
        return result

    def _promoted(self, world: World, row: Row) -> Result:
        """What a fold of the whole log by the new version gives; but what was told before keeps its date, and what
        was derived before is derived by the rules of then."""
        early = [event for where, event in self.events.items() if is_below_cut(world, row, where)]
        before = self.before = reference.fold(early, [said(in_force(world, row))])
        at_cut = reference.fold(early, [said(self.additions)])
        new = reference.fold(self.events.values(), [said(self.additions)])
        new.derived += before.derived - at_cut.derived
        treat_older_awards(new, before, before.awards.keys() - at_cut.awards.keys(), world.plan.replays.policy)
        new.unlocks.update(before.unlocks)
        new.levels_reached.update(before.levels_reached)
        return new


def treat_older_awards(new: Result, before: Result, ungiven: Collection[Award], policy: Policy) -> None:
    """Those that the new rules do not give at the cut stay; or go, and are others when they are earned again."""
    if policy == "keep":
        new.awards.update({award: before.awards[award] for award in ungiven})
        return
    for award in ungiven:
        new.revocations[Unlock(award, 0)] = []
        if (at := new.unlocks.pop(Unlock(award, 0), None)) is not None:
            new.unlocks[Unlock(award, 1)] = at


def promoted(world: World) -> Row | None:
    """The full one that is done."""
    return next((row for row in world.operator.registry.of_status("done") if row.whole is not None), None)


def is_below_cut(world: World, row: Row, where: Where) -> bool:
    """Whether it was folded by the old rules."""
    topic, number, offset = where
    return offset < world.operator.controls()[number].replays[row.id].cut.get(topic, 0)


def in_order(events: Mapping[Where, dict[str, Any]], late: Mapping[Where, tuple[int, int]]) -> list[dict[str, Any]]:
    """Shapes: late, the position of its topic before which an event was folded, and its turn among those."""

    def place(where: Where) -> tuple[int, int, int, int]:
        topic, number, offset = where
        return SOURCES.index(topic), number, *late.get(where, (offset, len(late)))

    return [events[where] for where in sorted(events, key=place)]


def read_milder(world: World) -> set[Named]:
    """The metrics and achievements whose past was read by rules that refuse nothing loose."""
    additions = world.plan.replays.additions
    if MILDER not in additions:
        return set()
    version = additions.index(MILDER) + 2
    done = world.operator.registry.of_status("done")
    return {name for row in done if row.spans is None and row.record.version >= version for name in row.names}


def take_over(result: Result, other: Result, names: Collection[Named]) -> None:
    """What another fold says of these; of users whom only that one knows nothing else was counted."""
    for user, metrics in other.metrics.items():
        known = result.metrics.setdefault(user, {CATALOG: {name: EMPTY.get(name, 0) for name in metrics[CATALOG]}})
        known[CATALOG].update({name: at for name, at in metrics[CATALOG].items() if (CATALOG, name) in names})
    result.unlocks = {
        **{unlock: at for unlock, at in result.unlocks.items() if unlock.award[1:3] not in names},
        **{unlock: at for unlock, at in other.unlocks.items() if unlock.award[1:3] in names},
    }
    result.awards = {
        **{award: at for award, at in result.awards.items() if award[1:3] not in names},
        **{award: at for award, at in other.awards.items() if award[1:3] in names},
    }


def in_force(world: World, before: Row | None = None) -> tuple[str, ...]:
    """What replays have brought: all of it, or nothing. Shapes: before, the one with which counting ends."""
    additions, filled = world.plan.replays.additions, set[Named]()
    for row in world.operator.registry.of_status("done"):
        if row is before:
            break
        if row.whole is not None:
            return additions[: row.record.version - 1]
        filled |= row.names
    return tuple(each for each in additions if names_of(each) <= filled)


def differences(name: str, found: dict[Any, Any], wanted: dict[Any, Any]) -> Iterator[str]:
    if found != wanted:
        missing = {key: wanted[key] for key in wanted.keys() - found.keys()}
        strange = {key: found[key] for key in found.keys() - wanted.keys()}
        other = {
            key: (found[key], wanted[key]) for key in found.keys() & wanted.keys() if found[key] != wanted[key]
        }
        yield f"{name}: missing {missing}, not expected {strange}, found and expected differ in {other}"


def committed(world: World, topic: str) -> list[PlainRecord]:
    places = [(topic, number) for number in range(world.plan.partitions)]
    return [record for place in places for record in world.broker.partition(place).committed()]


def unlock_of(user: str, data: AwardData | Revoked | Unlocked) -> Unlock:
    """As the reference names it."""
    key = data.achievement if data.tier is None else f"{data.achievement}/{data.tier}"
    return Unlock((user, data.catalog, key, data.scope), data.n)


def level_of(outcome: LevelOutcome) -> tuple[str, str, int]:
    return outcome.subject, outcome.data.catalog, outcome.data.level


def outcomes(world: World, judged: Judged) -> Iterator[str]:
    """I1"""
    found = [decode_any_outcome(record.value or b"") for record in committed(world, NAMES.outcomes)]
    yield from repeated("outcomes", (each.id for each in found))
    wanted = judged.result
    unlocks = {
        unlock_of(each.subject, each.data): each.data.earned_at for each in found if isinstance(each, Outcome)
    }
    yield from differences("unlocks", dated(unlocks, wanted), dated(wanted.unlocks, wanted))
    revoked = [unlock_of(each.subject, each.data) for each in found if isinstance(each, RevokedOutcome)]
    yield from differences("revocations", dict.fromkeys(revoked), dict.fromkeys(wanted.revocations))
    levels = {level_of(each): each.data.earned_at for each in found if isinstance(each, LevelOutcome)}
    yield from differences("levels", levels, wanted.levels_reached)
    yield from evidence(found, judged)
    yield from completed(world, found)
    derived = [json.loads(record.value or b"")["id"] for record in committed(world, NAMES.derived)]
    yield from repeated("derived events", derived)
    if len(derived) != wanted.derived:
        yield f"{len(derived)} derived events, expected {wanted.derived}"


def dated(unlocks: Mapping[Unlock, datetime], wanted: Result) -> dict[Unlock, datetime | None]:
    """Without the dates of those that may have another one."""
    return {unlock: None if unlock.award in wanted.undated else at for unlock, at in unlocks.items()}


def repeated(what: str, ids: Iterable[str]) -> Iterator[str]:
    if twice := [each for each, count in Counter(ids).items() if count > 1]:
        yield f"{what} more than once: {twice}"


def evidence(found: Iterable[AnyOutcome], judged: Judged) -> Iterator[str]:
    for outcome in found:
        if isinstance(outcome, AnswerOutcome | ReplayOutcome):
            continue
        proof = outcome.data.evidence
        where = proof.topic, proof.partition, proof.offset
        event = judged.events.get(where) or judged.loose.get(where)
        if proof.topic in SOURCES and (event is None or event["id"] != proof.event_id):
            yield f"the evidence of {outcome.type} of {outcome.subject} is {proof}, where {event} lies"


def completed(world: World, found: Iterable[AnyOutcome]) -> Iterator[str]:
    told = [(each.data.replay_id, each.data.partition) for each in found if isinstance(each, ReplayOutcome)]
    done = [row.id for row in world.operator.registry.of_status("done")]
    wanted = [(id, number) for id in done for number in range(world.plan.partitions)]
    yield from differences("replays completed", dict.fromkeys(told), dict.fromkeys(wanted))


def read_models(world: World, judged: Judged) -> Iterator[str]:
    """I2"""
    database = world.database
    shown = {identity: unlock_of(award.subject, award.data) for identity, award in database.awards.items()}
    yield from differences("user_achievement", dict.fromkeys(shown.values()), dict.fromkeys(judged.result.unlocks))
    held = [unlock.award for identity, unlock in shown.items() if identity not in database.revoked]
    yield from differences("what is held", dict.fromkeys(held), dict.fromkeys(judged.result.awards))
    levels = [level_of(each) for each in database.others.values() if isinstance(each, LevelOutcome)]
    yield from differences("user_level_reached", dict.fromkeys(levels), dict.fromkeys(judged.result.levels_reached))
    progress = {
        user: json.loads(row.metrics) for user, row in database.progress.items() if user not in judged.silent
    }
    yield from differences("user_progress", with_later_ones(progress, judged.result.metrics), judged.result.metrics)


def with_later_ones(found: Metrics, wanted: Metrics) -> Metrics:
    """With metrics that came later and that a user never moved: a row stays as it is until then."""
    later = {name for addition in (*ADDITIONS, ANEW) for _, name in names_of(addition)}
    made = dict(found)
    for user in found.keys() & wanted.keys():
        values = wanted[user][CATALOG]
        empty: dict[str, int | None] = {
            name: value for name, value in values.items() if name in later and not value
        }
        made[user] = {CATALOG: empty | found[user][CATALOG]}
    return made


def notifications(world: World, judged: Judged) -> Iterator[str]:
    """I3"""
    database = world.database
    told = {each.outcome for each in database.notifications.values()}
    yield from differences("notification", dict.fromkeys(told), dict.fromkeys(to_be_told(world)))
    queued = {identity for identity, _ in database.deliveries}
    yield from differences("deliveries", dict.fromkeys(queued), dict.fromkeys(database.notifications))


def to_be_told(world: World) -> Iterator[str]:
    """Everything, but what came of a replay only as the operator chose."""
    rows = world.operator.registry.rows
    found = [decode_any_outcome(record.value or b"") for record in committed(world, NAMES.outcomes)]
    for outcome in found:
        if isinstance(outcome, AnswerOutcome | ReplayOutcome):
            continue
        if isinstance(outcome, RevokedOutcome) and outcome.data.achievement not in ANNOUNCED:
            continue
        replay = outcome.data.replay_id
        notify = "all" if replay is None else rows[replay].notify
        if notify == "all":
            yield outcome.id
        elif (
            notify == "digest"
            and replay is not None
            and has_gained(world, outcome)
            and rows[replay].status == "done"
        ):
            yield digest_id(replay, outcome.subject)


def has_gained(world: World, outcome: AnyOutcome) -> bool:
    return not isinstance(outcome, RevokedOutcome) and outcome.id not in world.database.revoked


def states(world: World, judged: Judged) -> Iterator[str]:
    """I4"""
    found: Metrics = {}
    for number in range(world.plan.partitions):
        found |= states_in(world, NAMES, program_of(world.operator.version(number)), judged.result, [number])
    yield from differences("states", found, judged.result.metrics)


def states_in(
    world: World, names: Names, running: Program, wanted: Result, partitions: Iterable[int] | None = None
) -> Metrics:
    """What the changelog alone says of the metrics that are wanted, by the numbering of a program."""
    found: Metrics = {}
    fresh = fresh_state(running.ledger)
    for number in range(world.plan.partitions) if partitions is None else partitions:
        records = world.broker.partition((names.changelog, number)).committed()
        restored = PartitionEvaluator(ready(), number, world.plan.partitions)
        restored.load((each.key, each.value) for each in records if each.key not in (None, CONTROL_KEY))
        for user in wanted.metrics:
            if (row := restored.get(user.encode())) is not None:
                values = metric_values(decode_state(row, fresh), running)[CATALOG]
                found[user] = {CATALOG: {name: values[name] for name in wanted.metrics[user][CATALOG]}}
    return found


def positions(world: World, judged: Judged) -> Iterator[str]:
    """I5"""
    for number in range(world.plan.partitions):
        records = world.broker.partition((NAMES.changelog, number)).committed()
        controls = [decode_control(each.value) for each in records if each.key == CONTROL_KEY and each.value]
        recorded = controls[-1].positions if controls else {}
        standing = world.broker.positions.items()
        group = {topic: at for (name, (topic, place)), at in standing if (name, place) == (NAMES.processor, number)}
        yield from differences(f"positions of partition {number}", group, recorded)


def counts(world: World, judged: Judged) -> Iterator[str]:
    """I6"""
    tally, result = world.tally, judged.result
    kinds = ("applied", "duplicate", "skipped")
    whole = sum(tally[kind] + tally[f"derived {kind}"] for kind in kinds) + tally["refused"]
    if whole != tally["read"]:
        yield f"{dict(tally)} are {whole} in all, but {tally['read']} were read"
    found = {
        "applied": tally["applied"] + tally["late applied"],
        "derived applied": tally["derived applied"],
        "duplicate": tally["duplicate"] + tally["late duplicate"],
        "skipped": tally["skipped"],
    }
    wanted = {
        "applied": result.applied,
        "derived applied": result.derived,
        "duplicate": result.duplicates,
        "skipped": judged.skipped,
    }
    if world.happened["rewind"]:  # what is read again is a duplicate, or skipped once more
        found, wanted = ({key: of[key] for key in ("applied", "derived applied")} for of in (found, wanted))
    yield from differences("records", found, wanted)


def replays(world: World, judged: Judged) -> Iterator[str]:
    """replays"""
    rows, controls = world.operator.registry.rows.values(), world.operator.controls()
    wanted = {row.id: row.status for row in rows if is_known_in_the_end(row)}
    for number in range(world.plan.partitions) if rows else ():
        notes = controls[number].replays if number in controls else {}
        found = {id: note.phase for id, note in notes.items() if note.phase != "released"}
        yield from differences(f"what partition {number} knows of replays", found, wanted)


def is_known_in_the_end(row: Row) -> bool:
    """A full one that was called off leaves nothing but that it holds nobody."""
    return row.whole is None or row.status != "cancelled"


def shadows(world: World, judged: Judged) -> Iterator[str]:
    """shadows"""
    rows = world.operator.registry.rows.values()
    wanted = {row.whole.shadow for row in rows if row.whole is not None and row.status != "cancelled"}
    yield from differences("shadows", dict.fromkeys(world.shadows.made), dict.fromkeys(wanted))
    row = promoted(world)
    if row is not None and row.whole is not None and judged.before is not None:
        names, old = Names(row.whole.shadow), program_of(world.operator.versions[row.whole.ran - 1])
        kept = states_in(world, names, old, judged.before)
        yield from differences("the states of before, in the shadow", kept, judged.before.metrics)


def dead_letters_in(world: World) -> dict[Where, list[PlainRecord]]:
    found: dict[Where, list[PlainRecord]] = {}
    for record in committed(world, NAMES.dead_letters):
        said = headers_of(record)
        where = said[PREFIX + "topic"], int(said[PREFIX + "partition"]), int(said[PREFIX + "offset"])
        found.setdefault(where, []).append(record)
    return found


def headers_of(record: PlainRecord) -> dict[str, str]:
    return {name: (value or b"").decode() for name, value in record.headers}


def dead_letters(world: World, judged: Judged) -> Iterator[str]:
    """I6"""
    found = {where: letters for where, letters in judged.dead_letters.items() if where[0] in SOURCES}
    for where, records in found.items():
        publication = judged.refused.get(where)
        kept = publication and (publication.sent.key, publication.sent.value, publication.refusal)
        for record in records:
            if kept != (record.key, record.value, headers_of(record)[PREFIX + "class"]):
                yield f"the dead letter of {where} is {record}, expected {kept}"
    often = [] if world.happened["rewind"] else [where for where, records in found.items() if len(records) > 1]
    if often or found.keys() != judged.refused.keys():
        yield f"dead letters of {sorted(found)}, more than once {often}, expected {sorted(judged.refused)}"
    orders = [each for where, letters in judged.dead_letters.items() if where[0] not in SOURCES for each in letters]
    if orders:
        yield f"dead letters of orders: {orders}"


def belated(world: World, judged: Judged) -> Iterator[str]:
    """late"""
    found = Counter((each.topic, each.partition, each.offset) for each in world.belated)
    if twice := [where for where, count in found.items() if count > 1]:
        yield f"folded late more than once: {twice}"
    if strange := found.keys() - judged.loose.keys():
        yield f"folded late, and not to be: {sorted(strange)}"
    if missing := to_be_folded(world, judged) - found.keys():
        yield f"not folded late: {sorted(missing)}"
    yield from read_again(judged)


def read_again(judged: Judged) -> Iterator[str]:
    """Once a version reads what is loose, nothing of it is refused any more."""
    last = {(topic, number): offset for topic, number, offset in sorted(judged.loose)}
    for (topic, number, offset), event in judged.events.items():
        if "room" in event["data"] and offset < last.get((topic, number), 0):
            yield f"{topic}-{number} at {offset} was counted, and {last[topic, number]} refused behind it"


def to_be_folded(world: World, judged: Judged) -> set[Where]:
    """Of every stretch that was folded to its end; which of what came several times depends on the stretch."""
    often = Counter(event["id"] for event in (*judged.events.values(), *judged.loose.values()))
    stretches = [row.spans for row in world.operator.registry.of_status("done") if row.spans is not None]
    return {
        (topic, number, offset)
        for (topic, number, offset), event in judged.loose.items()
        if often[event["id"]] == 1 and any(spans[number].start <= offset < spans[number].end for spans in stretches)
    }


def digest(world: World) -> str:
    """I7: the same for the same seed, whatever the machine: every byte that is left."""
    whole = hashlib.sha256()
    for place, partition in sorted(world.broker.partitions.items()):
        whole.update(msgspec.msgpack.encode((place, [entry.record for entry in partition.entries])))
    whole.update(repr(sorted(world.broker.positions.items())).encode())
    whole.update(repr(sorted(world.database.progress.items())).encode())
    whole.update(repr(sorted(world.database.notifications.items())).encode())
    whole.update(repr(sorted(world.database.positions.items())).encode())
    return whole.hexdigest()[:16]
