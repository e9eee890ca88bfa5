"""A sample year of each product, folded by the evaluator and written by the projections, against the reference.

Every chunk of the log makes a checkpoint, and every checkpoint two batches: what is unlocked, revoked and reached
within one and across them comes to the same rows.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle, groupby
from typing import Any

import pytest
from psycopg import Connection

from bench.reference import COMMANDS, Answer, Result, Told, Unlock, fold
from broker.reading import Batch
from cli.comparison import compare
from processor.evaluator.compile import compile_catalog
from processor.evaluator.partition import PartitionEvaluator
from processor.evaluator.ready import ReadyProgram
from projections.achievement import write_catalog
from projections.database import connect
from projections.migrations.runner import migration_files, upgrade
from projections.projection import Projection
from projections.settings import ProjectorSettings
from projections.user_achievement import UserAchievementProjection
from projections.user_progress import UserProgressProjection
from schemas.catalog import read_catalog
from schemas.program import CatalogRecord, Ledger, Program
from schemas.records import PlainRecord
from tests.integration import projections as given
from tests.unit.sample import CATALOGS

pytestmark = pytest.mark.server

APPENDED_MS = 1_900_000_000_000  # 2030: later than every event
CHUNK = 1_500

CLAIMED = ["warm_up", "two_sessions", "half_an_hour", "nobody_has_this"]

Said = dict[str, Any]


def text_of(name: str) -> str:
    return (CATALOGS / f"{name}.yaml").read_text(encoding="utf-8")


HARSH = """
xp: [{on: awards}, {on: project_created, amount: 3}]
levels: {of: xp, curve: {triangular: 5}}
achievements:
  - {key: third_level, name: Up, category: projects, description: Reach level 3, when: level >= 3}
"""


def harsh_platform() -> str:
    """The platform as if what is lost were taken back, some of it said aloud, and awards gave XP and levels."""
    ways = cycle(["true", "announced"])
    rules, _, _ = text_of("platform").partition("\nexamples:")
    metrics, _, ladders = rules.partition("\nladders:")
    steps = re.sub(r"\{key: ", lambda found: f"{{revocable: {next(ways)}, key: ", ladders)
    return f"{metrics}\nladders:{steps}\n{HARSH}"


def sample(name: str) -> list[Said]:
    packed = (CATALOGS / "samples" / f"{name}.jsonl.gz").read_bytes()
    return [json.loads(line) for line in gzip.decompress(packed).splitlines()]


def with_claims(log: Sequence[Said], catalog: str, challenges: Sequence[str]) -> Iterator[Said]:
    """Behind every fourth event its user claims a challenge, a minute later; not all are offered, or done."""
    for number, said in enumerate(log):
        yield said
        if number % 4 == 0:
            at = (datetime.fromisoformat(said["time"]) + timedelta(minutes=1)).isoformat()
            data = {"catalog": catalog, "challenge": challenges[number // 4 % len(challenges)]}
            claim = {
                "id": f"claim-{number}",
                "source": "/test",
                "type": "claim_challenge",
                "subject": said["subject"],
            }
            yield {"specversion": "1.0", **claim, "time": at, "topic": COMMANDS, "appended": at, "data": data}


class Pipeline:
    """An evaluator, and the projections that write what it says."""

    def __init__(self, settings: ProjectorSettings, text: str, connection: given.AsyncConnection) -> None:
        self.catalog, ledger = compile_catalog(read_catalog(text, "catalog"), Ledger())
        self.program = Program(catalogs=[self.catalog], ledger=ledger, derived="derived", commands=COMMANDS)
        self._evaluator = PartitionEvaluator(ReadyProgram(self.program), 0, 1)
        self._connection = connection
        self._outcomes = UserAchievementProjection(settings.names)
        self._progress = UserProgressProjection(settings.names, self._read_catalogs, given.no_controls)
        self._offset = 0

    async def _read_catalogs(self) -> list[CatalogRecord]:
        return [given.record_of(self.catalog, self.program.ledger)]

    async def run(self, log: Sequence[Said]) -> None:
        await write_catalog(self._connection, given.record_of(self.catalog, self.program.ledger), datetime.now(UTC))
        await self._outcomes.prepare(self._connection)
        await self._progress.prepare(self._connection)
        for start in range(0, len(log), CHUNK):
            for topic, stretch in groupby(log[start : start + CHUNK], key=self._topic_of):
                self._fold(topic, stretch)
            await self._checkpoint()

    def _topic_of(self, said: Said) -> str:
        return said.get("topic") or f"{self.catalog.catalog}.activity"

    def _fold(self, topic: str, stretch: Iterable[Said]) -> None:
        folded = self._evaluator.fold(topic, [self._record(said) for said in stretch])
        assert folded.refused == []

    def _record(self, said: Said) -> PlainRecord:
        self._offset += 1
        appended = said.get("appended")
        at_ms = round(datetime.fromisoformat(appended).timestamp() * 1000) if appended else APPENDED_MS
        return PlainRecord(self._offset, at_ms, said["subject"].encode(), json.dumps(said).encode())

    async def _checkpoint(self) -> None:
        cut = self._evaluator.cut()
        outcomes = [*cut.outcomes]
        half = len(outcomes) // 2
        for rows in (outcomes[:half], outcomes[half:]):
            await self._write(self._outcomes, rows)
        await self._write(self._progress, cut.states)

    async def _write(self, projection: Projection, rows: Iterable[tuple[bytes, bytes | None]]) -> None:
        records = [PlainRecord(offset, APPENDED_MS, *row) for offset, row in enumerate(rows)]
        decoded = await projection.decode([Batch(projection.topic, 0, 0, len(records), records)])
        async with self._connection.transaction():
            await projection.write(self._connection, decoded)


@pytest.mark.parametrize(
    ("name", "text", "challenges", "met"),
    [
        ("badges", text_of("badges"), [], ["unlocks", "told"]),
        ("learning", text_of("learning"), [], ["unlocks", "told"]),
        ("interview", text_of("interview"), CLAIMED, ["levels_reached", "challenges", "answers"]),
        ("platform", harsh_platform(), [], ["revocations", "levels", "levels_reached"]),
    ],
    ids=["badges", "learning", "interview with claims", "platform with revocations"],
)
async def test_the_read_models_say_what_the_reference_says(servers, namespace, name, text, challenges, met):
    settings = given.settings_of(servers, namespace)
    log = [*with_claims(sample(name), name, challenges)] if challenges else sample(name)
    with connect(settings) as connection:
        upgrade(connection, settings.names.postgres_schema, migration_files())
        async with given.reading(settings) as session:
            await Pipeline(settings, text, session).run(log)
        expected = fold(log, [text])

        assert all(getattr(expected, what) for what in met), "this log shows nothing"
        assert compare(connection, expected) == []
        assert shown(connection) == told(expected)


def shown(connection: Connection) -> Result:
    """What else there is to see, in the reference's own form."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query.encode()).fetchall()

    about = "user_id, catalog, concat_ws('/', achievement, tier), scope"
    unlocks = rows(
        f"select {about}, n, earned_at, metadata, context, revocation -> 'reasons' from user_achievement"
    )
    return Result(
        unlocks={Unlock((*award,), n): at for *award, n, at, _, _, _ in unlocks},
        told={Unlock((*award,), n): Told(meta, context or {}) for *award, n, _, meta, context, _ in unlocks},
        revocations={Unlock((*award,), n): named(why) for *award, n, _, _, _, why in unlocks if why is not None},
        levels=dict(levels_of(rows("select user_id, catalog, level from user_level"))),
        levels_reached={
            (*about,): at
            for *about, at in rows("select user_id, catalog, level, earned_at from user_level_reached")
        },
        challenges={
            (*about,): at
            for *about, at in rows("select user_id, catalog, challenge, day::text, earned_at from user_challenge")
        },
        answers={
            command: Answer(status, reason, next(((m["metric"], m["value"], m["target"]) for m in missing), None))
            for command, status, reason, missing in rows(
                "select command_id, status, reason, missing from command_answer"
            )
        },
    )


def named(reasons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An award in a chain of reasons, as the reference names it."""
    return [
        {name: of for name, of in reason.items() if name != "tier"}
        | (
            {"achievement": "/".join(filter(None, (reason["achievement"], reason["tier"])))}
            if "tier" in reason
            else {}
        )
        for reason in reasons
    ]


def levels_of(rows: Iterable[tuple[str, str, int]]) -> Iterator[tuple[str, dict[str, int]]]:
    for user, catalog, level in rows:
        yield user, {catalog: level}


def told(expected: Result) -> Result:
    """What `shown` can see of it."""
    return Result(
        unlocks=expected.unlocks,
        told=expected.told,
        revocations=expected.revocations,
        levels={user: of for user, of in expected.levels.items() if of},
        levels_reached=expected.levels_reached,
        challenges=expected.challenges,
        answers=expected.answers,
    )
