"""The projections' database in memory: read models, the queue, positions, sessions and their transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, NamedTuple, TypeVar

from psycopg import OperationalError

from broker.reading import Batch
from projections.award import Award
from projections.digest import digest_id
from projections.notification import notification_id
from projections.other_outcomes import Other, OtherOutcome, is_told
from projections.projection import Projection
from projections.user_achievement import OutcomeRows
from projections.user_progress import Progress, ProgressRows
from schemas.outcomes import (
    AnswerOutcome,
    ChallengeOutcome,
    LevelOutcome,
    ReplayCompleted,
    ReplayOutcome,
    RevokedOutcome,
)
from simulation.loop import VirtualLoop
from simulation.process import NOBODY, Line, Lost, Process

LOCK_RETRY_S = 0.05
LOCK_TIMEOUT_S = 15.0  # as projections/database.py has them
IDLE_IN_TRANSACTION_S = 30.0
ANSWER_TIMEOUT_S = 30.0
NOTICED_S_MAX = 0.5  # until the server knows that a client is gone

T = TypeVar("T")
Key = tuple[str, str, int]  # projection, topic, partition
KeptOutcome = LevelOutcome | ChallengeOutcome | AnswerOutcome | ReplayOutcome


class Notification(NamedTuple):
    user: str
    outcome: str


class Database:
    """What is committed. `on_position` is told of each move (key, before, after)."""

    def __init__(self) -> None:
        self.positions: dict[Key, int] = {}
        self.awards: dict[str, Award] = {}
        self.revoked: dict[str, str] = {}  # award -> the outcome that ended it
        self.others: dict[str, OtherOutcome] = {}  # levels, challenges, answers, replays
        self.notifications: dict[str, Notification] = {}
        self.deliveries: dict[tuple[str, str], str] = {}
        self.progress: dict[str, Progress] = {}
        self.on_position: list[Callable[[Key, int, int], None]] = []
        self.locks: dict[Key, Transaction] = {}
        self._unique: set[tuple[Any, ...]] = set()

    def take_award(self, award: Award) -> bool:
        """Whether it appeared: one that is there already changes nothing, by its id or by what it is about."""
        data = award.data
        about = (award.subject, data.catalog, data.achievement, data.tier, data.scope, data.n)
        if award.id in self.awards or about in self._unique:
            return False
        self.awards[award.id] = award
        self._unique.add(about)
        if data.announce:
            self._tell(award.subject, award.id)
        return True

    def take_other(self, other: Other) -> bool:
        """Whether it changed something, as `take_award`."""
        outcome = other.outcome
        changed = self._revoke(outcome) if isinstance(outcome, RevokedOutcome) else self._keep(outcome)
        if changed and is_told(other):
            self._tell(outcome.subject, outcome.id)
        if changed and isinstance(outcome, ReplayOutcome) and outcome.data.notify == "digest":
            for user in sorted(self._gainers(outcome.data)):
                self._tell(user, digest_id(outcome.data.replay_id, user))
        return changed

    def _gainers(self, ended: ReplayCompleted) -> set[str]:
        """Users of the partition to whom the replay gave something that they hold."""
        held = [each for each in self.awards.values() if each.id not in self.revoked]
        levels = [each for each in self.others.values() if isinstance(each, LevelOutcome)]
        gained: list[Award | LevelOutcome] = [*held, *levels]
        where = ended.replay_id, ended.partition
        return {each.subject for each in gained if (each.data.replay_id, each.data.evidence.partition) == where}

    def _revoke(self, outcome: RevokedOutcome) -> bool:
        ended = outcome.data.award_id
        if ended not in self.awards or ended in self.revoked:
            return False
        self.revoked[ended] = outcome.id
        return True

    def _keep(self, outcome: KeptOutcome) -> bool:
        about = (outcome.subject, *about_of(outcome))
        if outcome.id in self.others or about in self._unique:
            return False
        self.others[outcome.id] = outcome
        self._unique.add(about)
        return True

    def _tell(self, user: str, outcome: str) -> None:
        if (identity := notification_id(outcome)) not in self.notifications:
            self.notifications[identity] = Notification(user, outcome)
            self.deliveries[identity, "default"] = "pending"

    def move(self, key: Key, position: int) -> None:
        for told in self.on_position:
            told(key, self.positions[key], position)
        self.positions[key] = position


def about_of(outcome: KeptOutcome) -> tuple[Any, ...]:
    """What there is one row for, of a user."""
    match outcome:
        case LevelOutcome(data=data):
            return "level", data.catalog, data.level
        case ChallengeOutcome(data=data):
            return "challenge", data.catalog, data.challenge, data.day
        case ReplayOutcome(data=data):
            return "replay", data.replay_id, data.partition
    return ("answer", outcome.id)


class Transaction:
    """What a session has done and not committed."""

    def __init__(self) -> None:
        self.is_open = True
        self.moves: dict[Key, int] = {}
        self.awards: list[Award] = []
        self.others: list[Other] = []
        self.progress: list[Progress] = []
        self.erased: list[str] = []


class MemorySession:
    """A session of one projection, as the client sees it."""

    def __init__(
        self,
        database: Database,
        projection: Projection,
        process: Process,
        loop: VirtualLoop,
        line: Line,
        chance: Random,
    ) -> None:
        self._database, self._projection = database, projection
        self._process, self._loop, self._line, self._chance = process, loop, line, chance
        self._transaction: Transaction | None = None
        self._is_broken = False
        self._statements = 0
        process.when_silent.append(self._client_fell_silent)

    async def positions(self, beginnings: Mapping[int, int]) -> dict[int, int]:
        def serve() -> dict[int, int]:
            found = self._database.positions
            return {number: found.setdefault(self._key(number), at) for number, at in beginnings.items()}

        positions = await self._ask(serve, "statement")
        await self._projection.resume()
        return positions

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[object]:
        begun = self._transaction = Transaction()
        try:
            yield begun
        except BaseException:
            if not self._process.is_dead:  # else the server has to notice
                self._roll_back(begun)
            raise
        await self._ask(lambda: self._commit(begun), "database commit")

    async def move(self, batches: Sequence[Batch]) -> set[int]:
        """Waits for the locks of all of them, without holding some meanwhile: nobody waits in a circle."""
        wanted, begun = {self._key(batch.partition): batch for batch in batches}, self._transaction
        deadline = self._loop.time() + LOCK_TIMEOUT_S
        while (moved := await self._ask(lambda: self._try_to_move(begun, wanted), "statement")) is None:
            if self._loop.time() > deadline:
                raise OperationalError("canceling statement due to lock timeout")
            await asyncio.sleep(LOCK_RETRY_S)
        return moved

    async def write(self, rows: Any) -> int:
        begun = self._transaction
        return await self._ask(lambda: self._write(still_open(begun), rows), "statement")

    async def close(self) -> None:
        self._is_broken = True
        if self._transaction is not None:
            self._roll_back(self._transaction)

    def _key(self, partition: int) -> Key:
        return self._projection.name, self._projection.topic, partition

    async def _ask(self, serve: Callable[[], T], what: str) -> T:
        if self._is_broken:
            raise OperationalError("the connection is closed")
        self._statements += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await self._line.ask(serve, what)
        except (Lost, TimeoutError) as lost:
            self._is_broken = True
            self._notice_soon()
            raise OperationalError("server closed the connection unexpectedly") from lost

    def _try_to_move(self, transaction: Transaction | None, wanted: Mapping[Key, Batch]) -> set[int] | None:
        """Compare and set; None while another transaction holds one of the rows."""
        begun = Transaction() if transaction is None else still_open(transaction)
        holders = [self._database.locks.get(key) for key in wanted]
        if any(holder not in (None, begun) for holder in holders):
            return None
        standing = {key: begun.moves.get(key, self._database.positions.get(key)) for key in wanted}
        moves = {key: batch.end for key, batch in wanted.items() if standing[key] == batch.start}
        begun.moves.update(moves)
        self._database.locks.update(dict.fromkeys(moves, begun))
        if transaction is None:
            self._commit(begun)  # a statement outside of a transaction is its own
        return {key[2] for key in moves}

    def _write(self, begun: Transaction, rows: Any) -> int:
        return WRITERS[self._projection.name](self._database, begun, rows)

    def _commit(self, begun: Transaction) -> None:
        for key, position in still_open(begun).moves.items():
            self._database.move(key, position)
        for award in begun.awards:
            self._database.take_award(award)
        for other in begun.others:
            self._database.take_other(other)
        self._database.progress.update({row.user: row for row in begun.progress})
        for user in begun.erased:
            self._database.progress.pop(user, None)
        self._end(begun)

    def _roll_back(self, begun: Transaction) -> None:
        if begun.is_open:
            self._end(begun)

    def _end(self, begun: Transaction) -> None:
        begun.is_open = False
        self._transaction = None if self._transaction is begun else self._transaction
        locks = self._database.locks
        for key in [key for key, holder in locks.items() if holder is begun]:
            del locks[key]

    def _client_fell_silent(self) -> None:
        """A dead client's session ends soon; a frozen one's when it has been idle in a transaction for too long."""
        if self._process.is_dead:
            self._notice_soon()
            return
        statements = self._statements

        def end_if_idle() -> None:
            if self._statements == statements and self._transaction is not None:
                self._is_broken = True
                self._roll_back(self._transaction)

        self._loop.call_later(IDLE_IN_TRANSACTION_S, end_if_idle, context=NOBODY)

    def _notice_soon(self) -> None:
        begun = self._transaction
        if begun is not None:
            self._loop.call_later(self._chance.random() * NOTICED_S_MAX, self._roll_back, begun, context=NOBODY)


def still_open(begun: Transaction | None) -> Transaction:
    """Raises: OperationalError when the server has rolled it back."""
    if begun is None or not begun.is_open:
        raise OperationalError("terminating connection due to idle-in-transaction timeout")
    return begun


def _write_outcomes(database: Database, begun: Transaction, rows: OutcomeRows) -> int:
    told = {award.id for award in rows.awards if award.data.announce}
    told |= {other.outcome.id for other in rows.others if is_told(other)}
    known = database.awards.keys() | database.others.keys() | set(database.revoked.values())
    known |= {award.id for award in begun.awards} | {other.outcome.id for other in begun.others}
    begun.awards += rows.awards
    begun.others += rows.others
    return len(told - known)


def _write_progress(database: Database, begun: Transaction, rows: ProgressRows) -> int:
    begun.progress += rows.rows
    begun.erased += rows.erased
    return 0


WRITERS: dict[str, Callable[[Database, Transaction, Any], int]] = {
    "user_achievement": _write_outcomes,
    "user_progress": _write_progress,
}
