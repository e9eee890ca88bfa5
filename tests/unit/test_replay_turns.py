"""In which order users are told: whoever live events wait for comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext, suppress
from typing import Any

import pytest

from processor.replay.excerpt import Aim
from processor.replay.ports import Part
from processor.replay.turns import Ahead, Turns
from processor.replay.wanted import Wanted
from schemas.errors import LaurelError
from simulation.loop import virtual_loop
from tests.unit.test_replay_past import event, past_of, songs

TICK_S, DEADLINE_S = 0.05, 60.0


def test_users_come_in_their_order_once() -> None:
    assert list(Turns([b"ann", b"bob", b"ann", b"eve"])) == [b"ann", b"bob", b"eve"]


def test_who_is_hurried_comes_next_and_not_again() -> None:
    turns = Turns([b"ann", b"bob", b"eve", b"joe"])
    coming = iter(turns)

    assert next(coming) == b"ann"
    turns.hurry([b"eve", b"ann"])
    assert list(coming) == [b"eve", b"bob", b"joe"]


def test_who_is_hurried_and_was_not_named_comes_too_as_long_as_somebody_is_to_come() -> None:
    turns = Turns([b"ann"])
    turns.hurry([b"new"])
    coming = iter(turns)

    assert next(coming) == b"new"
    turns.hurry([b"newer"])
    assert list(coming) == [b"newer", b"ann"]


async def uncancelled(seconds: float) -> None:
    """As a Kafka client waits that is told to give up at the wrong moment."""
    waiting = asyncio.ensure_future(asyncio.sleep(seconds))
    while not waiting.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(waiting)


class Live:
    """A topic that live events come to: at each tick one, of the next user."""

    def __init__(self, users: list[str], failure: Exception | None = None) -> None:
        self._users, self._failure = users, failure
        self.begun: list[tuple[str, int, int]] = []
        self.ended: list[str] = []

    async def follow(self, topic: str, partition: int, start: int, wanted: Wanted) -> AsyncGenerator[Part, None]:
        self.begun.append((topic, partition, start))
        try:
            for number, user in enumerate(self._users, start):
                await asyncio.sleep(TICK_S)
                yield Part(number + 1, wanted.among([event(number, "released", user=user, artist="x")]))
            if self._failure is not None and topic == "music":
                raise self._failure
            while True:
                await uncancelled(TICK_S)
                yield Part(start + len(self._users), ())
        finally:
            self.ended.append(topic)


AIM = Aim([("songs", "releases")], songs("two"), ())


def told_by(live: Any, users: list[bytes], only: set[bytes] | None = None) -> list[bytes]:
    """Everybody of the past has one of the two releases that are asked for; each is told in a tick."""
    past = past_of(AIM, [event(number, "released", user=user.decode()) for number, user in enumerate(users)])
    turns, told = Turns(users), []

    async def tell() -> None:
        async with Ahead(live, past, 0, {"music": len(users)}, only).hurrying(turns):
            for user in turns:
                told.append(user)
                await asyncio.sleep(TICK_S)

    virtual_loop().run(asyncio.wait_for(tell(), DEADLINE_S))
    assert past.facts() == [], "the past itself is where it was"
    return told


def test_who_crosses_something_live_comes_next() -> None:
    users = [f"user{number}".encode() for number in range(9)]
    live = Live(["user8", "user7", "user7"])

    told = told_by(live, users)

    assert live.begun == [("music", 0, 9)]
    assert sorted(told) == users
    assert [told.index(b"user8"), told.index(b"user7")] == [2, 3]


def test_who_only_comes_nearer_does_not_come_before_others() -> None:
    told = told_by(Live(["new"]), [f"user{number}".encode() for number in range(4)])
    assert told == [b"user0", b"user1", b"user2", b"user3"]


def test_of_whom_the_past_was_not_read_nothing_is_known_and_nobody_is_hurried() -> None:
    users = [f"user{number}".encode() for number in range(4)]
    assert told_by(Live(["user3"]), users, only={b"user0"}) == users


@pytest.mark.parametrize("failure", [None, LaurelError("gone")])
def test_when_all_are_told_no_topic_is_followed_any_more_and_what_that_came_to_is_raised(
    failure: Exception | None,
) -> None:
    live: Any = Live([], failure)
    past = past_of(Aim([("songs", "releases"), ("songs", "logins")], songs("two"), ()), [])
    ahead = Ahead(live, past, 0, {"music": 0, "web": 0}, None)

    async def tell() -> None:
        with nullcontext() if failure is None else pytest.raises(LaurelError, match="gone"):
            async with ahead.hurrying(Turns([])):
                await asyncio.sleep(TICK_S)
        assert (sorted(live.ended), asyncio.all_tasks()) == (["music", "web"], {asyncio.current_task()})

    virtual_loop().run(tell())


def test_a_job_that_is_cancelled_follows_nothing_any_more() -> None:
    live: Any = Live([])
    ahead = Ahead(live, past_of(AIM, []), 0, {"music": 0}, None)

    async def tell() -> None:
        async with ahead.hurrying(Turns([])):
            await asyncio.Event().wait()

    async def cancelled() -> None:
        telling = asyncio.create_task(tell())
        await asyncio.sleep(TICK_S)
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling
        assert live.ended == ["music"]

    virtual_loop().run(cancelled())
