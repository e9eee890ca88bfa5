"""Records that retention deleted before they were read are gone: nobody may go on as if they had not been."""

from __future__ import annotations

import signal
import time
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import CommitFailedError

from broker.connections import admin
from broker.positions import Positions, last_stable_offsets
from broker.topics import places_of
from cli.faults.ground import signal_child
from cli.faults.invariants import read_logs, read_positions
from cli.faults.scene import Scene
from cli.stack.child import Child
from schemas.errors import Precondition
from tests.faults.scenes import USUAL, Scenes

pytestmark = [pytest.mark.server, pytest.mark.faults]

UNREAD = 100
WAIT_S = 120.0


def test_deleted_unread_records_stop_the_worker_with_a_remedy(scenes: Scenes) -> None:
    """It says which records are missing and what to do, and ends with 4: to start it again would not help. When an
    operator has moved the position as it says, it goes on, and nobody is awarded twice."""
    with scenes.own(USUAL._replace(workers=1, claimers=0)) as scene:
        scene.await_progress()
        worker, run = scene.workers[0], scene.ground.loop.run
        signal_child(worker, signal.SIGSTOP)
        scene.until(lambda: behind(scene) > UNREAD, "records wait unread")
        ends = run(delete_everything(scene))
        signal_child(worker, signal.SIGCONT)

        await_exit(worker, Precondition.exit_code)
        assert "retention deleted the rest unread" in worker.last_lines()
        assert "--to-earliest" in worker.last_lines()

        worker.restart = False  # it has ended for good, and the scene need not complain
        scene.until(lambda: run(move_group(scene, ends)), "the group has no members any more")
        scene.ground.stack.run_again(worker)
        worker.restart = True
        scene.await_progress()
        drained = scene.drain()
        assert drained.seconds is not None, drained.lags
        logs = run(read_logs(scene.settings, scene.source))
        outcomes = Counter(record.value for records in logs.outcomes.values() for record in records)
        assert max(outcomes.values()) == 1


def await_exit(worker: Child, code: int) -> None:
    """It may be started again in between, as its supervisor does."""
    deadline = time.monotonic() + WAIT_S
    while worker.exit_code() != code:
        assert time.monotonic() < deadline, worker.last_lines()
        worker.wait(1.0)


def behind(scene: Scene) -> int:
    committed, ends = scene.ground.loop.run(read_positions(scene.settings, scene.source))
    return min(ends[place] - at for place, at in committed.items() if place[0] == scene.source)


async def delete_everything(scene: Scene) -> Positions:
    """As retention does it. Returns where the logs begin now."""
    ends = await last_stable_offsets(scene.ground.kafka, await places_of(scene.ground.kafka, [scene.source]))
    async with admin(scene.ground.kafka) as client:
        await client.delete_records({TopicPartition(*place): RecordsToDelete(end) for place, end in ends.items()})
    return ends


async def move_group(scene: Scene, positions: Positions) -> bool:
    """As kafka-consumer-groups.sh --reset-offsets does it: refused while the group still has members."""
    group = scene.settings.names.processor
    client = AIOKafkaConsumer(bootstrap_servers=scene.ground.kafka, group_id=group, enable_auto_commit=False)
    await client.start()
    try:
        client.assign([TopicPartition(*place) for place in positions])
        await client.commit({TopicPartition(*place): position for place, position in positions.items()})
    except CommitFailedError:
        return False
    finally:
        await client.stop()
    return True
