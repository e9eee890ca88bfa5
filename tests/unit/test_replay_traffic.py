"""How far the processors are behind, and what a job owes them. No server."""

from __future__ import annotations

from typing import Any

import pytest

from broker.positions import Place, Positions
from replays import traffic
from replays.traffic import FLOW_S, NICE, LiveTraffic

PLACE: Place = ("songs", 0)
QUICK = 5_000
IDLE = 5


class Group:
    """One partition. Shapes: left, what is committed and not folded."""

    def __init__(self) -> None:
        self.end = self.left = 0

    async def committed(self, places: list[Place]) -> Positions:
        return dict.fromkeys(places, self.end - self.left)

    async def ends(self, places: list[Place]) -> Positions:
        return dict.fromkeys(places, self.end)


@pytest.fixture
def priorities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    monkeypatch.setattr(traffic.os, "setpriority", lambda _, __, priority: told.append(priority))
    monkeypatch.setattr(traffic.os, "getpriority", lambda _, __: told[-1] if told else 0)
    return told


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    monkeypatch.setattr(traffic.os, "SCHED_IDLE", IDLE, raising=False)
    monkeypatch.setattr(traffic.os, "sched_param", int, raising=False)
    monkeypatch.setattr(traffic.os, "sched_setscheduler", lambda _, policy, __: told.append(policy), raising=False)
    return told


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(traffic.time, "monotonic", lambda: now[0])
    return now


async def test_what_comes_in_while_a_checkpoint_is_under_way_is_not_behind(clock: list[float]) -> None:
    group: Any = Group()
    live = LiveTraffic(group, [PLACE])
    group.left = 700
    assert await live.load() == (700, 0.0), "at what rate they came nobody knows yet"

    clock[0] += 2.0
    group.end += 2 * QUICK
    group.left = round(FLOW_S * QUICK) + 30
    assert await live.load() == (30, QUICK)
    assert await live.behind() == group.left


async def test_who_gives_way_is_nice_and_so_are_the_processes_that_it_starts(
    priorities: list[int], policies: list[int]
) -> None:
    group: Any = Group()
    live = LiveTraffic(group, [PLACE])
    live.give_way()
    live.give_way()

    assert set(priorities) == {NICE}
    assert traffic.nicer_by() == 0
    assert set(policies) == {IDLE}


def test_a_system_that_has_no_such_policy_is_given_way_on_by_being_nice(
    priorities: list[int], policies: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(traffic.os, "SCHED_IDLE")
    group: Any = Group()
    LiveTraffic(group, [PLACE]).give_way()

    assert (priorities, policies) == ([NICE], [])
