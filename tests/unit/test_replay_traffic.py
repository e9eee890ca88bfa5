"""How far the processors are behind, and what a job owes them. No server."""

from __future__ import annotations

from typing import Any

import pytest

from broker.positions import Place, Positions
from replays import traffic
from replays.traffic import FLOW_S, FLOWS_FROM, NICE, LiveTraffic

PLACE: Place = ("songs", 0)
QUICK = 10 * FLOWS_FROM


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
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(traffic.time, "monotonic", lambda: now[0])
    return now


async def test_what_flows_in_half_a_second_is_on_its_way_and_not_behind(
    priorities: list[int], clock: list[float]
) -> None:
    group: Any = Group()
    live = LiveTraffic(group, [PLACE])
    group.left = 700
    assert await live.lag() == 700, "at what rate they came nobody knows yet"

    clock[0] += 2.0
    group.end += round(2 * QUICK)
    group.left = round(FLOW_S * QUICK) + 30
    assert await live.lag() == 30
    assert await live.behind() == group.left


async def test_a_job_is_nice_once_live_events_flow_and_not_before(
    priorities: list[int], clock: list[float]
) -> None:
    group: Any = Group()
    live = LiveTraffic(group, [PLACE])
    for flowed in (0, 100, round(QUICK), round(QUICK)):
        group.end += flowed
        await live.lag()
        clock[0] += 1.0

    assert set(priorities) == {NICE}
    assert len(priorities) == 2
    assert traffic.nicer_by() == 0, "and so are the processes that it starts"
