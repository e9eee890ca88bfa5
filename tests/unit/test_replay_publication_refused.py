"""Which versions are not published or replayed beside or behind a replay; no server."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from replays.publication import refuse_touching
from replays.registry import Replay
from replays.starting import refuse_done
from schemas.errors import Precondition
from tests.unit.replaying import Versions

SECOND = """
catalog: songs
version: 2
events:
  alpha: {topic: t.one, data: {text: string?}}
  beta: {topic: t.one, data: {text: string?}}
metrics:
  alphas: {count: alpha}
  texts: {distinct: alpha, by: data.text}
  betas: {count: beta}
achievements:
  - {key: five, name: A, description: A, when: alphas >= 5}
  - {key: many, name: A, description: A, when: texts >= 5}
  - {key: other, name: A, description: A, when: betas >= 5}
"""
ENDED = {"decided_at": None, "ended_at": None, "failure": None}


def replay(**other: Any) -> Replay:
    told: dict[str, Any] = {
        "id": "r",
        "kind": "fold_and_merge",
        "catalog": "songs",
        "version": 2,
        "sha256": "",
        "notify": "digest",
        "policy": "keep",
        "dates": "exact",
        "from_versions": {"songs": 1},
        "muted": [("songs", "five"), ("songs", "many")],
        "filling": [("songs", "texts")],
        "plan": {},
        "partitions": 1,
        "status": "running",
        "who": "ada",
        "created_at": datetime(2026, 5, 1, tzinfo=UTC),
    }
    return Replay(**told | ENDED | other)


def publish(*changed: tuple[str, str], at: Replay | None = None) -> None:
    third = SECOND.replace("version: 2", "version: 3")
    for before, after in changed:
        assert before in third
        third = third.replace(before, after)
    versions = Versions([SECOND])
    refuse_touching(at or replay(), versions.records, Versions([SECOND, third]).records[-1].program)


MANY = "  - {key: many, name: A, description: A, when: texts >= 5}\n"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ([("  texts: {distinct: alpha, by: data.text}\n", ""), (MANY, "")], "has no metric 'texts' any more"),
        ([("by: data.text}", "by: data.text, normalize: true}")], "changes the metric 'texts'"),
        ([(MANY, "")], "has no achievement 'many' any more"),
        ([("alphas >= 5", "alphas >= 4")], "changes the achievement 'five'"),
        (
            [("alpha: {topic: t.one, data: {text: string?}}", "alpha: {topic: t.one, data: {text: string}}")],
            "changes the event 'alpha'",
        ),
        ([("version: 3", "version: 3\ntimezone: Asia/Tokyo")], "changes the setting 'timezone'"),
    ],
)
def test_a_version_that_changes_what_a_replay_is_at_waits_for_it(changed: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(Precondition, match=rf"version 3 .* {said}.*replay 'r'.*wait for it .*cancel it"):
        publish(*changed)


@pytest.mark.parametrize(
    "changed",
    [
        [],
        [("key: many, name: A", "key: many, name: B, points: 9")],
        [("betas >= 5", "betas >= 4")],
        [("  betas: {count: beta}\n", "  betas: {count: beta}\n  lists: {distinct: beta, by: data.text}\n")],
        [("beta: {topic: t.one, data: {text: string?}}", "beta: {topic: t.one}")],
    ],
    ids=["the same", "words and points", "another award", "another metric", "another event"],
)
def test_a_version_that_leaves_that_as_it_is_may_come_beside_it(changed: list[tuple[str, str]]) -> None:
    publish(*changed)


def test_a_look_at_what_runs_is_not_disturbed_either() -> None:
    swept = replay(kind="sweep", muted=[], filling=[], plan={"wanted": [["songs", "other"]]})

    publish(("alphas >= 5", "alphas >= 4"), at=swept)
    with pytest.raises(Precondition, match="achievement 'other'"):
        publish(("betas >= 5", "betas >= 4"), at=swept)


def test_a_set_whose_category_is_called_otherwise_is_the_same_set() -> None:
    both = SECOND.replace("description: A, when: texts", "description: A, category: letters, when: texts")
    both += "  - {key: all, name: A, description: A, all_of: {category: letters}}\n"
    renamed = both.replace("version: 2", "version: 3").replace("letters", "words")
    swept = replay(kind="sweep", muted=[], filling=[], plan={"wanted": [["songs", "all"]]})

    refuse_touching(swept, Versions([both]).records, Versions([both, renamed]).records[-1].program)


def test_the_version_that_a_replay_brings_is_left_to_it() -> None:
    record = Versions([SECOND]).records[-1]

    with pytest.raises(Precondition, match="is brought by a replay"):
        refuse_touching(replay(sha256=record.sha256), [record], record.program)


async def test_a_version_that_runs_and_was_replayed_is_refused_with_the_replay_that_brought_it() -> None:
    program = Versions([SECOND]).records[-1].program
    intent = SimpleNamespace(catalog=program, from_versions={"songs": 2}, changes=SimpleNamespace(kind="nothing"))

    async def listed() -> list[Replay]:
        return [replay(id="first", sha256=program.sha256, status="done")]

    with pytest.raises(Precondition, match="runs already, and replay 'first' brought it"):
        await refuse_done(SimpleNamespace(listed=listed), intent)  # type: ignore[arg-type]
