"""Three thousand deployments in memory, each with faults of its own; and that the faults really happen."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

from cli import simulated_soak
from cli.faults.catalogue import children_of
from simulation.plan import KINDS, LOSSES, REPLAY_KINDS
from simulation.process import Weather
from simulation.run import Verdict, simulate
from simulation.soak import Players, replay
from simulation.world import ORDERS, PROMOTION, STEPS

SEEDS, BLOCK = 3_000, 250
BLOCKS = range(0, SEEDS, BLOCK)
WAIT_S = 240.0
SOAK = [sys.executable, "-m", "cli.main", "soak", "--simulated"]

ENDS = {
    "fenced": r"ProducerFenced|has no open transaction",
    "commit without an answer": r"checkpoint of partition \d failed: TimeoutError",
    "gap": r"was read up to \d+, but the next chunk begins at",
    "taken over": r"no longer holds",
    "watchdog": r"no progress for 15 s",
    "recovery failed": r"recovery failed",
    "stopped": r": stopped$",
}


@pytest.fixture(scope="module")
def players() -> Iterator[Players]:
    """The same for all blocks: a process needs seconds before it plays as fast as it can."""
    with Players() as players:
        yield players


@cache
def block(players: Players, first: int) -> list[Verdict]:
    """A few hundred seeds: a test that plays all of them might be taken for one that hangs."""
    return [*players.verdicts(range(first, first + BLOCK))]


@pytest.fixture(scope="module")
def everything(players: Players) -> list[Verdict]:
    return [verdict for first in BLOCKS for verdict in block(players, first)]


@pytest.fixture(scope="module")
def happened(everything: list[Verdict]) -> Counter[str]:
    """How often."""
    return sum((Counter(verdict.happened) for verdict in everything), Counter[str]())


@pytest.mark.simulation
@pytest.mark.parametrize("first", BLOCKS)
def test_every_invariant_holds_whatever_happens(players: Players, first: int) -> None:
    failed = [verdict for verdict in block(players, first) if verdict.complaints]
    told = [f"{verdict.complaints[0]}\n    replay it: {replay(verdict.seed)}" for verdict in failed[:5]]
    assert not failed, f"{len(failed)} of {BLOCK} seeds:\n" + "\n".join(told)


@pytest.mark.simulation
def test_every_fault_of_the_plan_happens_often(happened: Counter[str]) -> None:
    """Else the invariants would hold for want of anything that could break them."""
    wanted = [
        *(kind for kind in (*KINDS, *REPLAY_KINDS) if not kind.endswith("at a step")),
        *(f"{fate}: {what}" for fate in Weather.FATES for what in LOSSES),
        *("chunk lost", "chunk twice", "chunk stale", "compacted"),
        *("transaction committed", "transaction aborted"),
        *("replay started: sweep", "replay started: fold_and_merge", "version published"),
        *("past looked at again", "replay started: late", "records late applied"),
        *("replay started: full", "promote", "cancel full replay, running", "cancel full replay, promoting"),
        *("records duplicate", "records skipped", "records refused", "records derived applied"),
    ]
    rare = {what: happened[what] for what in wanted if happened[what] < 20}
    assert not rare, f"in {SEEDS} simulations: {rare}"


@pytest.mark.simulation
def test_every_numbered_step_is_a_place_where_processes_died(happened: Counter[str]) -> None:
    rare = {step: happened[f"trap at {step}"] for step in STEPS if happened[f"trap at {step}"] < 10}
    assert not rare, f"in {SEEDS} simulations: {rare}"


@pytest.mark.simulation
def test_every_step_of_a_replay_is_a_place_where_jobs_died(happened: Counter[str]) -> None:
    rare = {step: happened[f"trap at {step}"] for step in ORDERS if happened[f"trap at {step}"] < 10}
    assert not rare, f"in {SEEDS} simulations: {rare}"


@pytest.mark.simulation
def test_promotions_are_given_up_and_jobs_die_at_every_step_of_one(happened: Counter[str]) -> None:
    """Of thirty seeds one folds everything anew."""
    told = ["promotion given up", *(f"trap at {step}" for step in PROMOTION)]
    rare = {what: happened[what] for what in told if happened[what] < 3}
    assert not rare, f"in {SEEDS} simulations: {rare}"


@pytest.mark.simulation
@pytest.mark.parametrize("end", ENDS)
def test_processes_end_in_every_way_that_the_design_knows(everything: list[Verdict], end: str) -> None:
    pattern = re.compile(ENDS[end])
    assert sum(bool(pattern.search(line)) for verdict in everything for line in verdict.ends) >= 10


def test_the_same_seed_is_the_same_to_the_last_byte_in_any_process() -> None:
    """Whatever the hashes of strings are there: a set's order must not decide anything."""
    for seed, hash_seed in ((22, "1"), (153, "2"), (3736, "0"), (3736, "1")):
        argv, environ = [*SOAK, "--seed", str(seed), "--seeds", "1"], os.environ | {"PYTHONHASHSEED": hash_seed}
        ran = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True, timeout=WAIT_S)
        assert f"digest {simulate(seed).digest}" in ran.stderr


def test_a_seed_that_fails_is_told_with_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def one_fails(seeds: range) -> Iterator[Verdict]:
        for seed in seeds:
            wrong = ["I1: an award is missing"] if seed == 12 else []
            yield Verdict(seed, wrong, {"kill": 1}, [], "", 1.0)

    monkeypatch.setattr(simulated_soak, "verdicts", one_fails)

    assert not simulated_soak.soak_simulated(10, 5, as_json=False)

    told = capsys.readouterr()
    assert "seed 12 fails: I1: an award is missing" in told.err
    assert "laurel soak --simulated --seed 12 --seeds 1" in told.err
    assert "5 simulations from seed 10, 1 failed" in told.out


def test_ctrl_c_ends_a_soak_and_all_of_its_processes() -> None:
    process = subprocess.Popen(
        [*SOAK, "--seeds", "1000000"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stderr is not None
        assert '"seeds"' in process.stderr.readline()
        assert all(map(ignores_interrupts, children_of(process.pid))), "one could die of it while it starts"

        os.killpg(process.pid, signal.SIGINT)

        assert process.wait(WAIT_S) == 130
        wait_until_gone(process.pid)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def ignores_interrupts(pid: int) -> bool:
    ignored = re.search(r"^SigIgn:\s+(\w+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert ignored is not None
    return bool(int(ignored[1], 16) >> (signal.SIGINT - 1) & 1)


def wait_until_gone(group: int) -> None:
    """What has ended and was not collected by its new parent yet is still there for a moment."""
    deadline = time.monotonic() + WAIT_S
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.05)
        pytest.fail(f"after {WAIT_S:.0f} s there are still processes of the soak")
