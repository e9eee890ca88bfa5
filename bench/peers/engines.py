"""The peers on the stage: the small job in each one's own style, reading the same topic, on the same core."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

import msgspec

from bench.draining import Done
from bench.load import DAYS, FIRST, TOPIC
from bench.oracle import award_line, is_award
from bench.outputs import records_of
from bench.peers.installing import PROGRAMS, STREAMS, compiled, environment, locked_version
from bench.stage import PARTITIONS, Stage
from bench.worker import committed_positions
from broker.connections import consumer
from broker.positions import end_positions
from broker.topics import create_topics
from cli.stack.child import Child
from schemas.topics import SOURCE_CONFIG, TopicSpec

STOP_TIMEOUT_S = 30.0
COMMIT_MS = 100
SNAPSHOT_S = 1

_unlock = msgspec.json.Decoder(dict[str, Any]).decode


class Command(NamedTuple):
    argv: list[str]
    env: dict[str, str]


class Peer:
    """Somebody else's engine. Its run has a name of its own: of its group, its topic and its folder."""

    def __init__(self, name: str, run: str, command: Callable[[Stage, str], Command], lines: list[str]) -> None:
        self.name, self._run, self._command = name, run, command
        self._lines = lines

    def prepare(self, stage: Stage) -> None:
        topic = TopicSpec(sink_of(self._run), PARTITIONS, SOURCE_CONFIG)
        asyncio.run(create_topics(stage.kafka, [topic]))

    def start(self, stage: Stage) -> Child:
        argv, env = self._command(stage, self._run)
        return stage.start(self._run, argv, env)

    @asynccontextmanager
    async def progress(self, stage: Stage) -> AsyncIterator[Done]:
        async with committed_positions(stage, self._run) as done:
            yield done

    def stop(self, child: Child) -> None:
        child.ask_to_stop()
        child.wait(STOP_TIMEOUT_S)

    def wanted(self, lines: list[str]) -> list[str]:
        return [line for line in lines if is_award(line)]

    async def lines(self, stage: Stage) -> list[str]:
        return sorted(
            [_line(record.value) async for record in records_of(stage.kafka, sink_of(self._run), PARTITIONS)]
        )


class Unpositioned(Peer):
    """A peer that commits no positions: how far it is, is told by how many of the awards it has written."""

    @asynccontextmanager
    async def progress(self, stage: Stage) -> AsyncIterator[Done]:
        places = [(sink_of(self._run), partition) for partition in range(PARTITIONS)]
        numbers = event_numbers(self.wanted(self._lines), stage.load.events)
        async with consumer(stage.kafka, isolation="read_uncommitted") as client:

            async def done() -> int:
                written = sum((await end_positions(client, places)).values())
                return stage.load.events if written >= len(numbers) else numbers[written]

            yield done


def event_numbers(awards: list[str], events: int) -> list[int]:
    """The numbers of the events that earned these awards, in order: the small job's awards bear their times, and
    the load is spread evenly."""
    began, span = datetime.combine(FIRST, time(), UTC), timedelta(days=DAYS)
    moments = (datetime.fromisoformat(line.rpartition(" at ")[2]) for line in awards)
    return sorted(int((moment - began) / span * events) for moment in moments)


def sink_of(run: str) -> str:
    return f"{run}.unlocks"


def _line(value: bytes | None) -> str:
    unlock = _unlock(value or b"")
    return award_line(unlock["user"], unlock["achievement"], datetime.fromisoformat(unlock["earned_at"]))


def kafka_streams(guarantee: str) -> Callable[[Stage, str], Command]:
    def command(stage: Stage, run: str) -> Command:
        java = compiled(stage.folder("classes"))
        said = [run, stage.kafka, TOPIC, sink_of(run), guarantee, str(COMMIT_MS), str(stage.folder(run))]
        return Command([*java, *said], {})

    return command


def quix(stage: Stage, run: str) -> Command:
    program = str(PROGRAMS / "quix_app.py")
    said = [stage.kafka, TOPIC, sink_of(run), run, str(stage.folder(run))]
    return Command([str(environment("quix")), program, *said], {})


def bytewax(stage: Stage, run: str) -> Command:
    """With its recovery store, since without one it loses everything when it stops."""
    python, recovery = str(environment("bytewax")), str(stage.folder(run))
    subprocess.run([python, "-m", "bytewax.recovery", recovery, "1"], check=True, capture_output=True)
    flow = f"{PROGRAMS / 'bytewax_flow.py'}:flow"
    argv = [python, "-m", "bytewax.run", flow, "-r", recovery, "-s", str(SNAPSHOT_S), "-b", "0"]
    return Command(argv, {"PEER_BROKERS": stage.kafka, "PEER_SOURCE": TOPIC, "PEER_SINK": sink_of(run)})


class Kind(NamedTuple):
    """A peer to choose, and what it was told."""

    engine: type[Peer]
    command: Callable[[Stage, str], Command]
    settings: str


def _version(peer: str, package: str) -> str:
    return f"{package} {locked_version(peer, package)}"


PEERS = {
    "kafka-streams": Kind(
        Peer, kafka_streams("exactly_once_v2"), f"{STREAMS.title}, exactly-once v2, in memory, commits every 100 ms"
    ),
    "kafka-streams-at-least-once": Kind(
        Peer, kafka_streams("at_least_once"), f"{STREAMS.title}, in memory, commits every 100 ms"
    ),
    "quix": Kind(Peer, quix, f"{_version('quix', 'quixstreams')}, exactly-once, RocksDB"),
    "bytewax": Kind(
        Unpositioned, bytewax, f"{_version('bytewax', 'bytewax')}, at least once, snapshots every second"
    ),
}
