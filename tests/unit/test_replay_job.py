"""The job of a replay, step by step, over a partition in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any

import pytest
from msgspec import UNSET

from processor.replay.approximation import why_not
from processor.replay.excerpt import Aim
from processor.replay.job import PARTITIONS_AT_ONCE, Task, run
from processor.replay.ports import Addressed, Part, Ports, StateRow, Status, Stretch
from processor.replay.wanted import Wanted
from processor.replay.watch import FLOWS_FROM, LAG_MAX, ORDERS_AT_ONCE_BESIDE_LIVE, REST_S
from schemas.errors import LaurelError
from schemas.outcomes import Outcome, RevokedOutcome
from schemas.replays import Activate, Done, End, Facts, Named
from schemas.state import Control, decode_control
from schemas.topics import partition_of
from simulation.loop import virtual_loop
from tests.unit.random_logs import Said
from tests.unit.replaying import Course, Died, Partition, Versions, World, changes_to, task_of, values_of

FIRST = """
catalog: songs
version: 1
events:
  alpha: {topic: t.one, data: {text: string?}}
metrics:
  alphas: {count: alpha}
achievements:
  - {key: ten, name: A, description: A, when: alphas >= 10}
"""
FIVE = "  - {key: five, name: A, description: A, when: alphas >= 5}\n"
TEXTS = "  - {key: texts, name: A, description: A, when: texts >= 2}\n"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def second(more: str = FIVE, replaced: tuple[str, str] = ("", "")) -> str:
    return FIRST.replace("version: 1", "version: 2").replace(*replaced) + more


def with_texts() -> str:
    return second(
        TEXTS, ("alphas: {count: alpha}", "alphas: {count: alpha}\n  texts: {distinct: alpha, by: data.text}")
    )


def alphas(count: int, user: str = "ann", first: int = 0) -> list[Said]:
    return [
        {
            "specversion": "1.0",
            "id": f"{user}-{number}",
            "source": "/web",
            "type": "alpha",
            "subject": user,
            "time": (NOON + timedelta(hours=number)).isoformat(),
            "data": {"text": str(number)},
        }
        for number in range(first, first + count)
    ]


class Stage:
    """A partition on which a version ran, and a world for the job that brings the next one."""

    def __init__(
        self,
        new: str,
        log: list[Said],
        wanted: list[Named] | None = None,
        *,
        first: str = FIRST,
        policy: str = "keep",
        **more: Any,
    ) -> None:
        self.partition = Partition(Versions([first]), Random(0))
        for said in log:
            self.partition.say(said)
        self.partition.versions.publish(new, announced=False)
        self.found, program = changes_to(self.partition, {"songs": 2}, wanted)
        if policy == "revoke":
            more["revoked"] = [*self.found.removed, *self.found.harder]
        self.task: Task = task_of(self.found, program, **more)
        self.world = World(self.partition, [], Random(0), Course())

    def play(self, *meanwhile: Callable[[], Awaitable[object]]) -> str:
        async def job() -> str:
            working = asyncio.gather(run(self.task, self.world.ports()), *(each() for each in meanwhile))
            return str((await working)[0])

        return virtual_loop().run(job())

    def unlocked(self) -> list[tuple[str, str, datetime, str]]:
        found = (each for each in self.partition.outcomes if isinstance(each, Outcome))
        return [(each.subject, each.data.achievement, each.data.earned_at, each.data.origin) for each in found]

    def phase(self) -> str:
        return decode_control(self.partition.control).replays["r"].phase


def test_a_sweep_awards_what_was_earned_with_its_date() -> None:
    stage = Stage(second(), [*alphas(7), *alphas(4, "bob")])

    assert stage.play() == "done"
    assert stage.unlocked() == [("ann", "five", NOON + timedelta(hours=4), "replay")]
    assert stage.phase() == "done"


def test_a_sweep_reads_the_past_of_winners_alone() -> None:
    stage = Stage(second(), [*alphas(7), *alphas(4, "bob")])
    stage.play()

    assert {report.users for report in stage.world.reports} == {1}


def test_a_sweep_in_which_nobody_wins_reads_no_past_at_all() -> None:
    stage = Stage(second(), alphas(4))

    assert stage.play() == "done"
    assert (stage.world.reports, stage.unlocked()) == ([], [])


def test_a_new_metric_has_its_past_and_its_awards() -> None:
    stage = Stage(with_texts(), alphas(3))

    assert stage.play() == "done"
    assert stage.unlocked() == [("ann", "texts", NOON + timedelta(hours=1), "replay")]
    assert [(each.phase, each.position, each.of, each.users) for each in stage.world.reports] == [
        ("filling", 3, 3, 1),
        ("active", 0, 0, 1),
        ("active", 0, 0, 1),
    ]


def test_a_user_whose_metric_has_a_value_and_crossed_nothing_is_told_of_too() -> None:
    stage = Stage(with_texts(), alphas(1))
    stage.play()

    sent = [type(order).__name__ for user, order in stage.world.sent if user is not None]
    assert sent == ["Base", "Facts"]


def test_what_runs_already_is_looked_at_again_without_muting() -> None:
    stage = Stage(second(""), alphas(12), wanted=[("songs", "ten")])

    assert stage.play() == "done"
    assert [each[3] for each in stage.unlocked()] == ["live"]


def test_a_paused_job_stands_still_and_goes_on() -> None:
    stage = Stage(with_texts(), alphas(3))
    stage.world.row = "paused"
    seen: list[str] = []

    async def resume() -> None:
        await asyncio.sleep(60)
        seen.append(stage.phase())
        stage.world.row = "running"

    assert stage.play(resume) == "done"
    assert seen == ["filling"]


def test_a_job_that_is_called_off_leaves_the_partition_cancelled() -> None:
    stage = Stage(with_texts(), alphas(3))
    stage.world.row = "cancelling"

    assert stage.play() == "cancelled"
    note = decode_control(stage.partition.control).replays["r"]
    assert (note.phase, note.muted, note.filling) == ("cancelled", [("songs", "texts")], [("songs", "texts")])
    assert stage.unlocked() == []


def test_a_job_that_finds_its_replay_ended_does_nothing() -> None:
    stage = Stage(second(), alphas(7))
    stage.world.row = "failed"

    assert stage.play() == "failed"
    assert stage.world.sent == []


def test_a_job_rests_while_live_is_behind_and_still_ends() -> None:
    stage = Stage(with_texts(), alphas(40))

    async def taken(lag: int) -> float:
        stage.world.behind = lag
        await run(stage.task, stage.world.ports())
        return asyncio.get_running_loop().time()

    quick = virtual_loop().run(taken(LAG_MAX))
    stage = Stage(with_texts(), alphas(40))
    assert virtual_loop().run(taken(LAG_MAX + 1)) > quick + 1


def test_what_live_has_folded_since_the_cut_is_read_before_anybody_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(with_texts(), alphas(3))
    read: list[tuple[int, int, bool]] = []
    decide, scan = stage.world.decide, stage.world.scan

    async def decide_late() -> Status:
        for said in alphas(2, first=3):
            stage.partition.say(said)
        stage.partition.obey()
        return await decide()

    def noted(stretch: Stretch, wanted: Wanted) -> AsyncGenerator[Part, None]:
        is_active = any(isinstance(order, Activate) for _, order in stage.world.sent)
        read.append((stretch.start, stretch.cut, is_active))
        return scan(stretch, wanted)

    monkeypatch.setattr(stage.world, "decide", decide_late)
    monkeypatch.setattr(stage.world, "scan", noted)

    assert stage.play() == "done"
    assert read == [(0, 3, False), (3, 5, False)]


def test_a_job_never_rests_between_activate_and_its_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(with_texts(), alphas(40))
    stage.world.behind, stage.world.per_s = LAG_MAX + 1, FLOWS_FROM
    sent_at: dict[type, float] = {}
    send = stage.world.send

    async def timed(partition: int, orders: Sequence[Addressed]) -> None:
        sent_at.update((type(order), asyncio.get_running_loop().time()) for _, order in orders)
        await send(partition, orders)

    monkeypatch.setattr(stage.world, "send", timed)

    assert stage.play() == "done"
    assert sent_at[Activate] - sent_at[End] > REST_S
    assert sent_at[Done] - sent_at[Activate] < REST_S


def test_whoever_crosses_something_while_facts_are_sent_gets_them_before_those_who_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 600 users the last one waits."""
    users = [f"user{number}" for number in range(600)]
    stage = Stage(with_texts(), [said for user in users for said in alphas(1, user)])
    stage.world.per_s = FLOWS_FROM
    send = stage.world.send

    async def with_live(partition: int, orders: Sequence[Addressed]) -> None:
        if any(isinstance(order, Facts) for _, order in orders) and stage.world.coming:
            stage.partition.say(stage.world.coming.pop())
        await send(partition, orders)

    stage.world.coming = alphas(1, users[-1], first=1)
    monkeypatch.setattr(stage.world, "go_on", stage.partition.obey)
    monkeypatch.setattr(stage.world, "send", with_live)

    assert stage.play() == "done"
    told = [user for user, order in stage.world.sent if isinstance(order, Facts)]
    assert len(told) == 600
    assert told.index(users[-1].encode()) < 3 * ORDERS_AT_ONCE_BESIDE_LIVE
    assert stage.unlocked() == [(users[-1], "texts", NOON + timedelta(hours=1), "live")]


def test_beside_live_events_orders_come_evenly_and_fewer_while_live_falls_behind() -> None:
    log = [said for number in range(300) for said in alphas(1, f"user{number}")]

    def taken(per_s: float, behind: int) -> float:
        stage = Stage(with_texts(), log)
        stage.world.per_s, stage.world.behind = per_s, behind

        async def job() -> float:
            await run(stage.task, stage.world.ports())
            return asyncio.get_running_loop().time()

        return virtual_loop().run(job())

    alone, beside, behind = taken(0, 0), taken(FLOWS_FROM, 0), taken(FLOWS_FROM, 1)
    assert alone < beside < behind


@pytest.mark.parametrize(("per_s", "gives_way"), [(FLOWS_FROM - 1, False), (FLOWS_FROM, True)])
def test_a_job_gives_way_once_live_events_flow_and_not_before(per_s: float, gives_way: bool) -> None:
    stage = Stage(with_texts(), alphas(40))
    stage.world.per_s = per_s

    assert stage.play() == "done"
    assert stage.world.gave_way == gives_way


def test_what_the_new_version_does_not_give_is_taken_when_the_operator_says_so() -> None:
    harder = second("", ("alphas >= 10", "alphas >= 12"))
    stage = Stage(harder, [*alphas(11), *alphas(13, "bob")], revoked=[("songs", "ten"), ("songs", "gone")])

    assert stage.play() == "done"
    assert stage.partition.complaints == []
    lost = [each for each in stage.partition.outcomes if isinstance(each, RevokedOutcome)]
    assert [(each.subject, each.data.achievement) for each in lost] == [("ann", "ten")]


OF_TEXT = "  - {key: of_text, name: A, description: A, on: alpha, scope: data.text}\n"


@pytest.mark.parametrize(
    ("new", "lost"),
    [
        (second(""), ["0", "1", "2"]),
        (second(OF_TEXT.replace("on: alpha", "is_active: false, on: alpha")), ["0", "1", "2"]),
        (second(OF_TEXT.replace("on: alpha", 'where: {data.text: {in: ["1", "7"]}}, on: alpha')), ["0", "2"]),
    ],
)
def test_of_scopes_those_are_taken_that_nobody_can_earn_any_more(new: str, lost: list[str]) -> None:
    stage = Stage(new, alphas(3), first=FIRST + OF_TEXT, policy="revoke")

    assert stage.play() == "done"
    assert stage.partition.complaints == []
    revoked = [each for each in stage.partition.outcomes if isinstance(each, RevokedOutcome)]
    assert [(each.data.achievement, each.data.scope) for each in revoked] == [("of_text", each) for each in lost]
    earned = {each.id for each in stage.partition.outcomes if isinstance(each, Outcome)}
    assert {each.data.award_id for each in revoked} < earned | {""}


@pytest.mark.parametrize(
    "new", [second("", ("ten,", "tenth,")), second("", ("when: alphas", "is_active: false, when: alphas"))]
)
def test_what_is_listed_no_more_or_switched_off_is_taken_also_where_the_log_has_lost_its_beginning(
    new: str,
) -> None:
    stage = Stage(new, [*alphas(11), *alphas(9, "bob")], policy="revoke")
    stage.world.lost = 5

    assert stage.play() == "done"
    revoked = [each for each in stage.partition.outcomes if isinstance(each, RevokedOutcome)]
    assert [(each.subject, each.data.achievement) for each in revoked] == [("ann", "ten")]


@pytest.mark.parametrize(
    ("read", "scope"), [("outcomes", ", scope: data.text"), ("states", ", scope: data.text"), ("states", "")]
)
def test_what_the_new_rule_gives_live_while_the_job_looks_for_losses_is_not_taken(
    monkeypatch: pytest.MonkeyPatch, read: str, scope: str
) -> None:
    """Also where it was held already by the rule of before, so that nothing was told of it again. By hand: of "0",
    "1", "2" and "7" the new rule gives "1" and "7"."""
    rule = f"  - {{key: of, name: A, description: A, on: alpha{scope}}}\n"
    stage = Stage(
        second(rule.replace("on: alpha", 'where: {data.text: {in: ["1", "7"]}}, on: alpha')),
        alphas(3 if scope else 1),
        first=FIRST + rule,
        policy="revoke",
    )
    said = alphas(1, first=7)
    original = getattr(stage.world, read)

    def read_late(partition: int) -> Any:
        stage.partition.obey()
        while said:
            stage.partition.say(said.pop())
        return original(partition)

    monkeypatch.setattr(stage.world, read, read_late)

    assert (stage.play(), said) == ("done", [])
    revoked = [each.data.scope for each in stage.partition.outcomes if isinstance(each, RevokedOutcome)]
    assert revoked == (["0", "2"] if scope else [])


def test_nothing_is_taken_from_anybody_whose_past_is_gone() -> None:
    stage = Stage(second("", ("alphas >= 10", "alphas >= 12")), alphas(13), revoked=[("songs", "ten")])
    stage.world.lost = 5

    assert stage.play() == "done"
    assert [each for each in stage.partition.outcomes if isinstance(each, RevokedOutcome)] == []


def test_a_job_that_finds_fewer_users_than_the_one_before_it_ends_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first one died between its bases and the end; then retention took the records of ann."""
    stage = Stage(with_texts(), [*alphas(3), *alphas(3, "bob")])
    send = stage.world.send

    async def die_at_the_end(partition: int, orders: Sequence[Addressed]) -> None:
        if any(isinstance(order, End) for _, order in orders):
            raise Died
        await send(partition, orders)

    monkeypatch.setattr(stage.world, "send", die_at_the_end)
    with pytest.raises(Died):
        stage.play()
    monkeypatch.setattr(stage.world, "send", send)
    stage.world.lost = 3

    with pytest.raises(LaurelError, match="has the past of 2 users, and 1 were found"):
        stage.play()


@pytest.mark.parametrize("at_once", [1, 3])
def test_more_processes_send_the_same(at_once: int) -> None:
    stage = Stage(with_texts(), alphas(5))
    others = [lambda: run(stage.task, stage.world.ports())] * (at_once - 1)

    assert stage.play(*others) == "done"
    assert stage.unlocked() == [("ann", "texts", NOON + timedelta(hours=1), "replay")]
    assert stage.partition.complaints == []


class Beside:
    """Some stages as the partitions of one namespace."""

    def __init__(self, worlds: Sequence[World]) -> None:
        self._worlds = worlds
        self.told: list[tuple[int, str]] = []

    def ports(self) -> Ports:
        return Ports(self, self, self, self._worlds[0], self._worlds[0])

    async def begin(self, topic: str, partition: int) -> int:
        return await self._worlds[partition].begin(topic, partition)

    def scan(self, stretch: Stretch, wanted: Wanted) -> AsyncGenerator[Part, None]:
        return self._worlds[stretch.partition].scan(stretch, wanted)

    def follow(self, topic: str, partition: int, start: int, wanted: Wanted) -> AsyncGenerator[Part, None]:
        return self._worlds[partition].follow(topic, partition, start, wanted)

    def states(self, partition: int) -> AsyncGenerator[Sequence[StateRow], None]:
        return self._worlds[partition].states(partition)

    def outcomes(self, partition: int) -> AsyncGenerator[Sequence[bytes], None]:
        return self._worlds[partition].outcomes(partition)

    async def controls(self) -> Mapping[int, Control]:
        return {number: (await world.controls())[0] for number, world in enumerate(self._worlds)}

    async def send(self, partition: int, orders: Sequence[Addressed]) -> None:
        self.told += [(partition, type(order).__name__) for _, order in orders]
        await self._worlds[partition].send(partition, orders)


@pytest.mark.parametrize(("per_s", "at_once"), [(0.0, PARTITIONS_AT_ONCE), (FLOWS_FROM, 1)])
def test_live_crossings_of_a_partition_wait_for_its_own_facts_alone(per_s: float, at_once: int) -> None:
    users = [next(str(each) for each in count() if partition_of(str(each).encode(), 6) == at) for at in range(6)]
    stages = [Stage(second(), alphas(5, user)) for user in users]
    beside = Beside([stage.world for stage in stages])
    stages[0].world.per_s = per_s

    assert virtual_loop().run(run(stages[0].task._replace(partitions=6), beside.ports())) == "done"

    assert [stage.unlocked()[0][:2] for stage in stages] == [(user, "five") for user in users]
    waiting: set[int] = set()
    for partition, order in beside.told:
        waiting = waiting | {partition} if order == "Activate" else waiting
        assert len(waiting) <= at_once, beside.told
        waiting = waiting - {partition} if order == "Done" else waiting


BETAS = "  - {key: betas, name: A, description: A, when: betas >= 2}\n"


@pytest.mark.parametrize(("was_declared", "counted"), [(False, 2), (True, 1)])
def test_a_retry_from_before_the_cut_counts_again_only_of_a_type_that_no_version_had_declared(
    was_declared: bool, counted: int
) -> None:
    """Only of declared types are ids remembered: docs/replay.md says so among what is not guaranteed."""
    declaring = FIRST.replace("metrics:", "  beta: {topic: t.one}\nmetrics:")
    new = declaring.replace("version: 1", "version: 2").replace("metrics:", "metrics:\n  betas: {count: beta}")
    (beta,) = ({**said, "type": "beta"} for said in alphas(1))
    stage = Stage(new + BETAS, [beta], first=declaring if was_declared else FIRST)
    assert stage.play() == "done"

    stage.partition.say(beta)

    rows = {user: row for user, row in dict(stage.partition.states).items() if row is not None}
    values = values_of(rows, stage.task.program)
    assert [value for (_, _, metric), value in values.items() if metric == "betas"] == [counted]


# --- what can be lost ---

UNDO = """
catalog: songs
version: 1
events:
  alpha: {topic: t.one, data: {text: string?}}
  undone: {topic: t.one, data: {}}
metrics:
  alphas: {count: alpha, minus: undone}
achievements:
  - {key: ten, name: A, description: A, when: alphas >= 10}
"""
TWO = "  - {key: two, name: A, description: A, when: alphas >= 2, revocable: true}\n"
BOTH = "  - {key: two, name: A, description: A, when: {all: [alphas >= 2, alphas >= 1]}, revocable: true}\n"


def done_and_undone(steps: str) -> list[Said]:
    """One each hour."""
    (said,) = alphas(1)
    types = {"+": "alpha", "-": "undone"}
    return [
        said
        | {"id": str(hour), "type": types[step], "data": {}, "time": (NOON + timedelta(hours=hour)).isoformat()}
        for hour, step in enumerate(steps)
    ]


def held(stage: Stage) -> list[tuple[datetime, int, int | None, str | None]]:
    found = (each.data for each in stage.partition.outcomes if isinstance(each, Outcome))
    return [(each.earned_at, each.n, each.progress_at_unlock, each.evidence.event_id) for each in found]


@pytest.mark.parametrize(("rule", "progress"), [(TWO, 2), (BOTH, None)])
def test_what_was_lost_and_earned_again_has_the_date_that_holds_now_and_counts_its_losses(
    rule: str, progress: int | None
) -> None:
    """By hand: two at hour 1, lost at 2, again at 3, lost at 4, again at 5, a third at 6."""
    stage = Stage(UNDO.replace("version: 1", "version: 2") + rule, done_and_undone("++-+-++"), first=UNDO)

    assert stage.play() == "done"
    assert held(stage) == [(NOON + timedelta(hours=5), 2, progress, "5")]


@pytest.mark.parametrize("rule", [TWO, BOTH])
def test_what_is_lost_in_the_end_is_not_given_and_its_losses_are_remembered(rule: str) -> None:
    """By hand: two at hour 1, lost at 2; live at 3, for the second time."""
    log = done_and_undone("++-+")
    stage = Stage(UNDO.replace("version: 1", "version: 2") + rule, log[:3], first=UNDO)

    assert stage.play() == "done"
    assert stage.unlocked() == []

    stage.partition.say(log[3])
    ((at, n, _, event),) = held(stage)
    assert (at, n, event) == (NOON + timedelta(hours=3), 1, "3")


# --- dates that are approximate ---

PAIR = "  - {key: pair, name: A, description: A, when: {all: [alphas >= 5, days >= 3]}}\n"
SET = "  - {key: set, name: A, description: A, all_of: {category: numbers}}\n"
DAYS = FIRST.replace("metrics:\n", "metrics:\n  days: {streak: alpha, every: day}\n")


def approximately(more: str, log: list[Said], first: str = DAYS) -> Stage:
    new = first.replace("version: 1", "version: 2") + more
    stage = Stage(new, log, first=first, dates="approximate")
    assert stage.found.kind == "sweep"
    assert why_not(stage.task.program, Aim((), stage.task.awards)) is None
    return stage


def test_approximate_dates_are_those_of_the_metrics_last_move_and_no_past_is_read() -> None:
    """By hand: ann has five at the fifth of seven hours, bob never."""
    stage = approximately(FIVE, [*alphas(7), *alphas(4, "bob")])

    assert stage.play() == "done"

    assert stage.unlocked() == [("ann", "five", NOON + timedelta(hours=6), "replay")]
    (told,) = [each.data for each in stage.partition.outcomes if isinstance(each, Outcome)]
    assert (told.dates, told.progress_at_unlock, told.evidence.event_id) == ("approximate", 7, "r")
    assert stage.world.reports == [], "a dating pass would have read, and reported"
    assert [type(order).__name__ for user, order in stage.world.sent if user is not None] == ["Values"]


def test_what_is_crossed_behind_an_approximate_replay_has_its_date_and_counts_what_was_crossed_before() -> None:
    """By hand: ann has five before, and her third day in a row afterwards; bob gets his fifth live."""
    stage = approximately(FIVE + PAIR, [*alphas(7), *alphas(4, "bob")])
    stage.play()

    for said in [*alphas(1, first=24), *alphas(1, first=48), *alphas(1, "bob", first=5)]:
        stage.partition.say(said)

    assert [each[:2] for each in stage.unlocked()] == [("ann", "five"), ("ann", "pair"), ("bob", "five")]
    dated = [each.data for each in stage.partition.outcomes if isinstance(each, Outcome)][1:]
    assert [(each.dates, each.origin) for each in dated] == [(UNSET, "live")] * 2
    assert dated[1].earned_at == NOON + timedelta(hours=5)


def test_a_set_of_awards_that_are_held_has_its_true_date_and_a_streak_the_start_of_its_last_day() -> None:
    numbers = DAYS.replace("key: ten, name: A,", "key: ten, name: A, category: numbers,")
    three = "  - {key: three, name: A, description: A, when: days >= 2}\n"
    stage = approximately(SET + three, [*alphas(12), *alphas(1, first=24), *alphas(1, first=72)], numbers)
    stage.play()

    assert stage.unlocked()[1:] == [
        ("ann", "set", NOON + timedelta(hours=9), "replay"),
        ("ann", "three", datetime(2026, 5, 4, tzinfo=UTC), "replay"),
    ]


def test_two_jobs_with_approximate_dates_give_everything_once() -> None:
    stage = approximately(FIVE + PAIR, [*alphas(7), *alphas(6, "bob")])

    async def another() -> object:
        return await run(stage.task, stage.world.ports())

    assert stage.play(another) == "done"
    assert sorted(each[:2] for each in stage.unlocked()) == [("ann", "five"), ("bob", "five")]


@pytest.mark.parametrize(
    ("metric", "more", "why"),
    [
        ("texts: {distinct: alpha, by: data.text}", "when: texts >= 2", "nobody has counted songs/texts yet"),
        ("alphas: {count: alpha, minus: beta}", "when: alphas >= 2", "becomes less"),
        ("", "on: alpha", "is in no state"),
        ("", "when: {any: [alphas >= 2, days >= 2]}", "is in no state"),
    ],
)
def test_dates_are_exact_where_the_states_do_not_tell_who_has_earned_it(metric: str, more: str, why: str) -> None:
    first = DAYS.replace("metrics:", "  beta: {topic: t.one}\nmetrics:")
    is_new = metric.startswith("texts")
    before = first if is_new else first.replace("alphas: {count: alpha}", metric or "alphas: {count: alpha}")
    new = before.replace("alphas: {", f"{metric}\n  alphas: {{", 1) if is_new else before
    stage = Stage(
        new.replace("version: 1", "version: 2") + f"  - {{key: new, name: A, description: A, {more}}}\n",
        [],
        first=before,
    )

    said = why_not(stage.task.program, Aim(stage.found.filling, stage.task.awards))

    assert said is not None
    assert why in said
