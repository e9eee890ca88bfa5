"""What `laurel soak` says, and with which exit code; the faults themselves are in tests/faults."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from itertools import islice, pairwise
from pathlib import Path
from random import Random

import pytest
import typer

from cli import soak as command_module
from cli.faults.catalogue import FAULTS
from cli.faults.invariants import Verdict
from cli.faults.report import BEGIN, END, markdown, peaks, told, write
from cli.faults.soak import Memory, Report, dealt
from cli.faults.sweeps import later
from cli.soak import BROKEN, command
from schemas.catalog import read_catalog

WHOLE = Report(
    seed=7,
    minutes=1,
    seconds=61.5,
    published=1234,
    faults=Counter({"worker killed": 2, "lines cut": 1}),
    kills=Counter(worker=2),
    claimers_died=3,
    restarts=2,
    stuck=[],
    drained_s=4.2,
    memory=[Memory(at, 80.0 + at) for at in range(0, 60, 2)],
    verdicts=[Verdict("I1", "each exactly once", []), Verdict("I2", "the read models equal the reference", [])],
    replays=2,
    swept=345,
)
DIFFERENT = WHOLE._replace(verdicts=[Verdict("I1", "each exactly once", ["outcome 1 is missing"])])
STUCK = WHOLE._replace(stuck=["lines cut: not within 150 s: processor and projector move on"])


def run(report: Report, monkeypatch: pytest.MonkeyPatch, file: Path | None = None, as_json: bool = False) -> None:
    monkeypatch.setattr(command_module, "soak", lambda minutes, seed, say: report)
    command(minutes=1, seed=7, simulated=False, seeds=1, report=file, as_json=as_json)


@pytest.mark.parametrize("report", [DIFFERENT, STUCK])
def test_an_invariant_that_does_not_hold_and_a_standstill_end_with_5(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(typer.Exit) as ended:
        run(report, monkeypatch)
    assert ended.value.exit_code == BROKEN


def test_the_verdict_on_every_invariant_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit):
        run(DIFFERENT, monkeypatch)
    printed = capsys.readouterr().out
    assert "I1 BROKEN  each exactly once\n    outcome 1 is missing" in printed
    assert "the lag returned to zero within 4 s" in printed


def test_json_is_one_object_with_the_seed_and_everything_that_was_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(WHOLE, monkeypatch, as_json=True)
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == json.loads(json.dumps(told(WHOLE)))
    assert told(WHOLE)["kills"] == 2
    assert (told(WHOLE)["replays"], told(WHOLE)["swept"]) == (2, 345)
    assert told(WHOLE)["holds"]


def test_the_report_goes_into_its_place_and_leaves_the_rest_of_the_document_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "reliability.md"
    document.write_text(f"before\n{BEGIN}\nan older one\n{END}\nafter\n")

    run(WHOLE, monkeypatch, document)

    assert document.read_text() == f"before\n{BEGIN}\n{markdown(WHOLE)}\n{END}\nafter\n"


def test_a_document_without_a_place_is_written_whole(tmp_path: Path) -> None:
    write(WHOLE, tmp_path / "new.md")

    assert (tmp_path / "new.md").read_text() == f"{markdown(WHOLE)}\n"


def test_the_report_counts_every_fault_and_tells_memory_over_time() -> None:
    text = markdown(WHOLE)

    assert "| worker killed | 2 |" in text
    assert all(f"| {fault.name} |" in text for fault in FAULTS)
    assert [round(size) for _, size in peaks(WHOLE)] == [84, 90, 96, 102, 108, 114, 120, 126, 132, 138]


def test_achievements_that_come_meanwhile_make_one_version_after_the_other() -> None:
    """Each of which the reader takes, with one entry more than the one before."""
    texts = [resources.files("cli.faults").joinpath("catalog.yaml").read_text()]
    for version in range(2, 8):
        texts.append(later(texts[-1], version))
    catalogs = [read_catalog(text, "faults.yaml") for text in texts]

    assert [each.version for each in catalogs] == [1, 2, 3, 4, 5, 6, 7]
    keys = [{entry.key for entry in each.achievements} for each in catalogs]
    assert [after - before for before, after in pairwise(keys)] == [{f"swept_{n}"} for n in range(2, 8)]


def test_every_fault_comes_before_one_comes_again_and_a_seed_draws_the_same() -> None:
    first, second = (list(islice(dealt(FAULTS, Random(3)), 2 * len(FAULTS))) for _ in range(2))

    assert first == second
    assert Counter(fault.name for fault in first[: len(FAULTS)]) == Counter(fault.name for fault in FAULTS)
