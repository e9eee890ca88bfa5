"""`laurel checklist`: requirements, the tests that hold them, and how these ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.checklist import LIST, WAITING, collected, listed, page, requirements, results
from cli.stack.pipeline import CHECKOUT
from schemas.errors import LaurelError

RESULTS = """
<testsuites><testsuite>
<testcase classname="tests.acceptance.test_x" name="test_S1_1_good"/>
<testcase classname="tests.acceptance.test_x" name="test_S1_2_bad[a]"><failure message="no"/></testcase>
<testcase classname="tests.acceptance.test_x" name="test_S1_2_bad[b]"/>
<testcase classname="tests.acceptance.test_x" name="test_S1_3_broken"><error message="no"/></testcase>
<testcase classname="tests.acceptance.test_x" name="test_S1_4_skipped"><skipped/></testcase>
</testsuite></testsuites>
"""
TEXTS = {f"S1.{number}": f"wish {number}" for number in (1, 2, 3, 4, 5, 11)}
WAITS = dict.fromkeys(TEXTS, "wings")


def waiting_but(*numbers: int) -> dict[str, str]:
    """Everything waits for wings but these, which have a test."""
    return {identity: what for identity, what in WAITS.items() if identity not in {f"S1.{n}" for n in numbers}}


def in_x(*names: str) -> list[str]:
    return [f"tests/acceptance/test_x.py::{name}" for name in names]


def test_a_requirement_is_as_its_tests_ended(tmp_path: Path) -> None:
    (tmp_path / "one-lane.xml").write_text(RESULTS, encoding="utf-8")
    tests = in_x("test_S1_1_good", "test_S1_2_bad", "test_S1_3_broken", "test_S1_4_skipped", "test_S1_11_other")

    told = requirements(TEXTS, tests, results(tmp_path), waiting_but(1, 2, 3, 4, 11))

    assert {each.id: each.state for each in told} == {
        "S1.1": "passed",
        "S1.2": "failed",
        "S1.3": "failed",
        "S1.4": "not run",
        "S1.5": "not yet",
        "S1.11": "not run",
    }


def test_what_has_two_tests_has_passed_when_both_have() -> None:
    tests = in_x("test_S1_1_one", "test_S1_1_other")

    (both, *_) = requirements(TEXTS, tests, dict.fromkeys(tests, True), waiting_but(1))
    (half, *_) = requirements(TEXTS, tests, {tests[0]: True}, waiting_but(1))
    (failed, *_) = requirements(TEXTS, tests, {tests[0]: False}, waiting_but(1))

    assert (both.state, half.state, failed.state) == ("passed", "not run", "failed")


def test_without_results_nothing_has_run(tmp_path: Path) -> None:
    assert results(tmp_path / "none") == {}


def test_a_test_of_what_nobody_asks_for_is_refused() -> None:
    with pytest.raises(LaurelError, match=r"test_S1_9_more names S1\.9, which checklist\.txt does not have"):
        requirements(TEXTS, in_x("test_S1_9_more"), {}, WAITS)


def test_a_test_without_an_id_holds_nothing() -> None:
    told = requirements(TEXTS, in_x("test_awards", "test_S1_words"), {}, WAITS)

    assert {(each.state, each.waits_for) for each in told} == {("not yet", "wings")}


@pytest.mark.parametrize(
    ("waiting", "told"),
    [
        (waiting_but(1, 2), r"S1\.2 has no test: write one, or say in waiting\.txt what it waits for"),
        (WAITS, r"waiting\.txt still has S1\.1, which has a test by now: take it out"),
        ({"S1.9": "wings"} | waiting_but(1), r"waiting\.txt has S1\.9, which checklist\.txt does not have"),
    ],
    ids=["neither", "both", "unknown"],
)
def test_a_requirement_has_a_test_or_says_what_it_waits_for(waiting: dict[str, str], told: str) -> None:
    with pytest.raises(LaurelError, match=told):
        requirements(TEXTS, in_x("test_S1_1_good"), {}, waiting)


def test_the_committed_checklist_is_true_to_the_tests_that_exist() -> None:
    """`./laurel checklist --write docs/checklist.md` makes it so."""
    written = (CHECKOUT / "docs" / "checklist.md").read_text(encoding="utf-8")

    assert written == page(requirements(listed(LIST), collected(), {}, listed(WAITING)))


@pytest.mark.parametrize("file", [LIST, WAITING], ids=lambda file: file.stem)
def test_every_id_stands_once_with_a_text(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    ids = [line.partition(" ") for line in lines if not line.startswith("#")]

    assert len(ids) == len({identity for identity, _, _ in ids}) == len(listed(file))
    assert all(text for _, _, text in ids)
