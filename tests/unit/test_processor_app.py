"""The worker's app without a broker: how it ends, what it refuses, what it shows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import generate_latest

from processor import app as app_module
from processor.app import AchievementsApp
from processor.evaluator.metrics.bounds import KEPT_OUT
from processor.evaluator.programs import Programs
from processor.kafka.fetch import Chunk
from processor.kafka.partition import OwnedPartition
from processor.preflight import Plan
from processor.profile import Profile
from processor.settings import ProcessorSettings
from processor.telemetry import Telemetry
from schemas.errors import Precondition
from schemas.program import CatalogProgram, EventSpec, Ledger, Program
from schemas.records import PlainRecord
from schemas.topics import partition_of
from tests.integration.owners import Exited, leave
from tests.unit.test_processor_partition import Counting, in_memory

PARTITIONS = 4
SONGS = "songs"
SECRET = "ann-was-here"
CATALOG = CatalogProgram(
    catalog="toy",
    version=1,
    sha256="",
    events=[EventSpec(type="released", topic=SONGS, window=0)],
    metrics=[],
    achievements=[],
)
PLAN = Plan(Programs(Program(catalogs=[CATALOG], ledger=Ledger(), derived="laurel.derived")), PARTITIONS)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AchievementsApp:
    monkeypatch.setattr(app_module, "exit_now", leave)
    settings = ProcessorSettings(stop_timeout_s=0.01, profile=tmp_path / "profile.jsonl")
    return AchievementsApp(settings, PLAN, lambda number: Counting())


def own(app: AchievementsApp, number: int, evaluator: Any) -> OwnedPartition:
    partition = in_memory(number, evaluator)
    partition.open({SONGS: 0}, {SONGS: 0})
    app.ownership.partitions[number] = partition
    return partition


def chunk(start: int, end: int) -> Chunk:
    return Chunk(SONGS, 2, start, end, end, [PlainRecord(start, 0, SECRET.encode(), SECRET.encode())])


class Broken(Counting):
    def fold(self, topic: str, records: Any) -> Any:
        raise ValueError(f"cannot read {records!r}")


async def test_a_bug_in_the_fold_ends_the_process_and_tells_where_but_not_what(
    app: AchievementsApp, capsys: pytest.CaptureFixture[str]
) -> None:
    """The text of an error may quote an event, and logs are read by more people than events are."""
    own(app, 2, Broken())

    with pytest.raises(Exited) as ended:
        await app.ownership.fold(chunk(0, 1))

    assert ended.value.args == (70, "the fold of songs-2 between 0 and 1 raised ValueError")
    assert SECRET not in "".join(capsys.readouterr())


async def test_a_bug_in_what_an_order_does_is_told_with_its_place_as_any_other(
    app: AchievementsApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the next worker finds the very order, and after three exits it is parked while the sources go on."""
    orders = "laurel.replay-assignments"
    partition = in_memory(2, Counting())
    partition.replays.topic = orders
    partition.open({orders: 7}, {})
    app.ownership.partitions[2] = partition
    monkeypatch.setattr(partition.replays, "fold", Broken().fold)

    with pytest.raises(Exited) as ended:
        await app.ownership.fold(chunk(7, 8)._replace(topic=orders))

    assert ended.value.args == (70, f"the fold of {orders}-2 between 7 and 8 raised ValueError")


async def test_a_gap_ends_the_process(app: AchievementsApp) -> None:
    own(app, 2, Counting())

    with pytest.raises(Exited, match="read up to 0, but the next chunk begins at 5"):
        await app.ownership.fold(chunk(5, 6))


async def test_a_chunk_of_a_partition_that_is_not_owned_is_left_alone(app: AchievementsApp) -> None:
    await app.ownership.fold(chunk(0, 1))


async def test_a_record_with_more_than_this_process_knows_asks_for_a_restart(app: AchievementsApp) -> None:
    class Outdated(Counting):
        def fold(self, topic: str, records: Any) -> Any:
            raise Precondition("restart it")

    own(app, 2, Outdated())

    with pytest.raises(Exited) as ended:
        await app.ownership.fold(chunk(0, 1))

    assert ended.value.args == (4, "restart it")


def test_a_parked_partition_and_a_restore_are_shown_with_their_lag(app: AchievementsApp) -> None:
    """A parked topic still lags; to the watchdog and the pace of checkpoints there is nothing to do in it."""
    partition = own(app, 2, Counting())
    partition.stable_ends, partition.parked = {SONGS: 9}, {SONGS: 0}
    partition.restored, partition.to_restore = 5, 7

    shown = generate_latest(app.telemetry.registry).decode()

    assert f'laurel_parked{{partition="2",topic="{SONGS}"}} 0.0' in shown
    assert f'laurel_lag{{partition="2",topic="{SONGS}"}} 9.0' in shown
    assert 'laurel_restored_offsets{partition="2"} 5.0' in shown
    assert 'laurel_restore_offsets{partition="2"} 7.0' in shown
    assert partition.lags == {}


def test_what_bounds_keep_out_is_shown(app: AchievementsApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEPT_OUT, "scopes", 3)

    shown = generate_latest(app.telemetry.registry).decode()

    assert 'laurel_kept_out_total{bound="scopes"} 3.0' in shown
    assert 'laurel_kept_out_total{bound="freezes"} ' in shown


async def test_the_table_shows_states_and_takes_none(app: AchievementsApp) -> None:
    own(app, partition_of(b"ann", PARTITIONS), Counting()).evaluator.load([(b"ann", b"7")])

    assert app.user_state[b"ann"] == b"7"
    assert app.user_state.get(b"bob") is None
    assert b"bob" not in app.user_state
    with pytest.raises(TypeError, match="change through events only"):
        app.user_state.data[b"ann"] = b"8"


@pytest.mark.parametrize(("released", "code"), [(True, 0), (False, 70)])
def test_a_stop_that_hangs_is_cut_short_with_what_became_of_it(
    app: AchievementsApp, released: bool, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faust's threads can hang after the last checkpoint, and then everything is safe."""
    monkeypatch.setattr(os, "_exit", exit_with)
    own(app, 2, Counting()).writer = None if released else object()

    with pytest.raises(Exited) as ended:
        app._stop_in_time()

    assert ended.value.args[0] == code
    assert app.settings.profile is not None
    assert json.loads(app.settings.profile.read_text())["counts"] == {}


def exit_with(code: int) -> None:
    raise Exited(code)


def test_a_crash_of_any_service_ends_the_process(app: AchievementsApp) -> None:
    with pytest.raises(Exited, match="a service of Faust crashed"):
        app._crash(RuntimeError("the fetcher died"))


def test_a_taken_metrics_port_is_a_precondition() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(Precondition, match=f"port {port} .* set LAUREL_METRICS_PORT"):
            Telemetry(Profile()).serve(port)


def test_the_last_word_is_one_line_and_the_exit_code() -> None:
    """Without cleaning up: whatever would run at the end of a process must not."""
    program = (
        "import atexit; atexit.register(print, 'cleaned up')\n"
        "from processor.logs import configure_logs; configure_logs('INFO')\n"
        "from processor.kafka.exit import exit_now; exit_now('the line went dead')"
    )

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)

    assert (ended.returncode, ended.stdout) == (70, "")
    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["event"] == "the worker stops: the line went dead"
