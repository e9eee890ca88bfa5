"""The supervisor with both servers configured, so that it starts none: its own children only."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.stack import LocalStack
from cli.stack import child as child_module
from cli.stack.child import Child, Order
from cli.stack.folder import DataFolder
from cli.stack.identity import started_at, still_runs
from cli.stack.keeper import pause_after
from schemas.errors import LaurelError, Precondition

CONFIGURED = {"LAUREL_KAFKA": "127.0.0.1:1", "LAUREL_POSTGRES": "postgresql://127.0.0.1:1/x"}
DEADLINE_SECONDS = 180.0
SLEEPER = ["sleep", "600"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, lambda *_: print('asked', flush=True)); print('up', flush=True)\n"
    "while True: time.sleep(600)",
]
SUPERVISOR = """
import sys, time
from pathlib import Path
from cli.stack import LocalStack, local
from cli.stack.child import Child, Order

local.STOP_SECONDS = 600  # a test that needs a child's time to run out hangs, and is seen
data, watched, *argv = sys.argv[1:]
with LocalStack(Path(data), environ={"LAUREL_KAFKA": "unused", "LAUREL_POSTGRES": "unused"}) as stack:
    stack.log_of("ours").parent.mkdir(exist_ok=True)
    stack._keeper.start(Child(Order("ours", tuple(argv), stack.log_of("ours"), watched=watched == "pipe")))
    print("ready", flush=True)
    time.sleep(600)
"""


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_SECONDS:g} s"
        time.sleep(0.02)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    with LocalStack(tmp_path / "data", environ=CONFIGURED) as running:
        yield running


class Supervisor:
    """A process of its own that runs a stack with one child."""

    def __init__(self, data: Path, argv: list[str], watched: str = "kernel") -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, str(data), watched, *argv], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        self.log = data / "logs" / "ours.log"
        self.children = [
            (each["pid"], each["started"]) for each in json.loads((data / "run.json").read_text())["children"]
        ]

    def childless(self) -> bool:
        return not any(still_runs(*child) for child in self.children)

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_SECONDS)


def test_what_is_configured_wins_and_nothing_is_started_for_it(stack: LocalStack) -> None:
    assert (stack.kafka, stack.postgres) == (CONFIGURED["LAUREL_KAFKA"], CONFIGURED["LAUREL_POSTGRES"])
    assert not stack.children


def test_a_child_that_falls_is_started_again_and_counted(stack: LocalStack) -> None:
    child = stack.run("processor", SLEEPER)
    first = child.pid
    os.kill(first, signal.SIGKILL)
    until(lambda: child.restarts == 1 and child.alive, "a restart")
    assert stack.children["processor"].pid != first


def test_the_pause_before_a_restart_doubles_up_to_a_bound() -> None:
    assert [pause_after(falls) for falls in range(4)] == [0.2, 0.4, 0.8, 1.6]
    assert pause_after(10_000) == 10


def test_a_child_that_keeps_falling_waits_longer_each_time(stack: LocalStack) -> None:
    began = time.monotonic()
    child = stack.run("processor", ["sh", "-c", "exit 70"])
    until(lambda: child.restarts == 2, "two restarts")
    assert time.monotonic() - began > pause_after(0) + pause_after(1)


@pytest.mark.parametrize("code", [0, Precondition.exit_code])
def test_a_child_that_is_done_or_waits_for_somebody_is_left_alone(stack: LocalStack, code: int) -> None:
    child = stack.run("processor", ["sh", "-c", f"exit {code}"])
    other = stack.run("projector", ["sh", "-c", "exit 70"])
    until(lambda: other.restarts >= 1, "the other one's restart")
    assert (child.restarts, child.exit_code()) == (0, code)


def test_a_child_hears_no_ctrl_c_of_ours_and_reads_no_terminal(stack: LocalStack) -> None:
    child = stack.run("processor", SLEEPER)
    assert os.getpgid(child.pid) == child.pid, "a terminal sends Ctrl-C to one group of processes, to ours"
    assert os.getsid(child.pid) == os.getsid(0), "the kernel gives each session the same share of the processors"
    assert os.readlink(f"/proc/{child.pid}/fd/0") == os.devnull


def test_a_child_reports_its_last_words(stack: LocalStack) -> None:
    child = stack.run("processor", ["sh", "-c", "seq 100; exit 4"])
    assert child.wait(DEADLINE_SECONDS)
    assert child.last_lines().split() == [str(number) for number in range(71, 101)]


def test_a_child_can_be_pinned_to_one_core(tmp_path: Path) -> None:
    child = Child(Order("pinned", tuple(SLEEPER), tmp_path / "log", core=0))
    child.start()
    until(lambda: os.sched_getaffinity(child.pid) == {0}, "one core")
    child.kill()


def test_the_stack_stops_its_children_last_first(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    tells = f"trap 'echo $NAME >> {ends}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    with LocalStack(tmp_path / "data", environ=CONFIGURED) as stack:
        for name in ("first", "second"):
            stack.run(name, ["sh", "-c", tells], {"NAME": name})
            until(lambda: "ready" in stack.log_of(name).read_text(), name)  # noqa: B023 - called at once
    assert ends.read_text().split() == ["second", "first"]


@pytest.mark.parametrize("watched", ["kernel", "pipe"])
def test_killing_the_supervisor_outright_leaves_nothing_behind_and_the_next_one_starts(
    tmp_path: Path, watched: str
) -> None:
    """`kernel` is Linux's parent-death signal, `pipe` what other systems use."""
    for _ in range(2):
        supervisor = Supervisor(tmp_path, STUBBORN, watched)
        until(lambda: "up" in supervisor.log.read_text(), "the child")  # noqa: B023 - called at once
        supervisor.end(signal.SIGKILL)
        until(supervisor.childless, "the end of all children")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_polite_end_stops_everything(tmp_path: Path, number: signal.Signals) -> None:
    supervisor = Supervisor(tmp_path, SLEEPER)
    supervisor.end(number)
    assert supervisor.childless()
    assert not (tmp_path / "run.json").exists()


def test_an_interruption_ends_it_also_where_a_script_started_it_in_the_background(tmp_path: Path) -> None:
    """A shell without job control starts `laurel dev &` with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        supervisor = Supervisor(tmp_path, SLEEPER)
    finally:
        signal.signal(signal.SIGINT, before)
    supervisor.end(signal.SIGINT)
    assert supervisor.childless()


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    """The first one asks, and would wait for longer than this test does."""
    supervisor = Supervisor(tmp_path, STUBBORN)
    until(lambda: "up" in supervisor.log.read_text(), "the child")
    supervisor.process.send_signal(signal.SIGINT)
    until(lambda: "asked" in supervisor.log.read_text(), "the child's refusal")
    assert supervisor.process.poll() is None
    supervisor.end(signal.SIGINT)
    assert supervisor.childless()


def test_a_kill_ends_also_where_a_ctrl_c_came_in_the_middle_of_a_look_at_the_child(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two steps of Popen.poll it leaves a lock taken: who waited for that without a bound never ended."""
    monkeypatch.setattr(child_module, "KILLED_SECONDS", 0.1)
    child = stack.run("processor", SLEEPER, restart=False)
    born = started_at(child.pid)
    process = child._process
    assert process is not None
    with process._waitpid_lock:
        child.kill()
    until(lambda: not still_runs(child.pid, str(born)), "the child's end")


def test_a_second_supervisor_of_the_same_folder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    first = Supervisor(tmp_path, SLEEPER)
    with pytest.raises(Precondition, match=f"in use by process {first.process.pid}: stop that one"):
        LocalStack(tmp_path, environ=CONFIGURED).__enter__()
    first.end(signal.SIGTERM)


def test_a_pid_that_was_given_to_another_process_is_never_killed(tmp_path: Path) -> None:
    bystander = subprocess.Popen(SLEEPER)
    leftover = subprocess.Popen(SLEEPER)
    written = [{"name": "old", "pid": bystander.pid, "started": "long ago"}]
    written += [{"name": "left", "pid": leftover.pid, "started": str(started_at(leftover.pid))}]
    (tmp_path / "run.json").write_text(json.dumps({"children": written}))
    folder = DataFolder(tmp_path)
    folder.open()
    folder.close()
    assert leftover.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    assert bystander.poll() is None
    bystander.kill()


def test_the_temporary_folder_of_a_killed_supervisor_is_swept_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, living, ours = DataFolder(None), DataFolder(None), DataFolder(None)
    dead.open()
    assert dead._lock is not None
    dead._lock.close()  # as the kernel does for a killed process
    living.open()
    ours.open()
    assert not dead.path.exists()
    assert living.path.exists()
    ours.close()
    living.close()
    assert list(tmp_path.iterdir()) == []


def test_a_stack_that_is_ending_starts_nothing_more(stack: LocalStack) -> None:
    stack._keeper.refuse()
    with pytest.raises(LaurelError, match="'late' is not started"):
        stack.run("late", SLEEPER)
