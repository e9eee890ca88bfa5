"""When a promotion has a way back, and by which rules. No server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from replays.registry import Replay
from replays.returning import (
    OldRules,
    as_version,
    ran_before,
    refuse_later,
    refuse_published,
    refuse_unpromoted,
)
from schemas.errors import Precondition
from tests.unit.owned_partition import records_of
from tests.unit.test_takeover import NEW, OLD

PROMOTED = Replay(
    id="r",
    kind="full",
    catalog="toy",
    version=2,
    sha256="",
    notify="digest",
    policy="keep",
    dates="exact",
    from_versions={"toy": 1},
    muted=(),
    filling=(),
    plan={},
    partitions=1,
    shadow="s",
    status="done",
    who="ada",
    created_at=datetime(2026, 5, 1, tzinfo=UTC),
    decided_at=datetime(2026, 5, 2, tzinfo=UTC),
    ended_at=datetime(2026, 5, 2, tzinfo=UTC),
    failure=None,
)


def test_the_old_rules_come_back_under_a_higher_version_and_else_as_they_were() -> None:
    old = ran_before(PROMOTED, records_of(OLD, NEW))

    assert as_version(old, 3) == OldRules(OLD.replace("version: 1", "version: 3"), "toy.yaml")


def test_a_catalog_whose_version_has_no_line_of_its_own_is_refused() -> None:
    with pytest.raises(Precondition, match=r"no line of its own that begins with `version:`, to be raised to 3"):
        as_version(OldRules('{"catalog": "toy", "version": 1}', "toy.json"), 3)


def test_a_catalog_that_came_with_the_promotion_has_no_version_to_go_back_to() -> None:
    with pytest.raises(Precondition, match="no version of catalog 'toy' ran before replay 'r'"):
        ran_before(replace(PROMOTED, from_versions={}), records_of(OLD, NEW))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"kind": "sweep"}, "only a promotion has a way back"),
        ({"status": "running"}, "is running: what is not promoted needs no way back"),
        ({"dropped_at": PROMOTED.ended_at}, "was dropped, and the states of before with it"),
    ],
)
def test_what_is_not_promoted_or_not_kept_has_no_way_back(changed: Any, said: str) -> None:
    with pytest.raises(Precondition, match=said):
        refuse_unpromoted(replace(PROMOTED, **changed))


def test_a_replay_that_came_behind_the_promotion_bars_the_way_back_unless_it_was_cancelled() -> None:
    later = replace(PROMOTED, id="later", kind="late", created_at=datetime(2026, 5, 3, tzinfo=UTC))

    refuse_later(PROMOTED, [PROMOTED, replace(later, status="cancelled")])
    with pytest.raises(Precondition, match="replay 'later' was started behind the promotion of 'r'"):
        refuse_later(PROMOTED, [PROMOTED, later])


def test_a_version_that_came_since_bars_the_way_back() -> None:
    refuse_published(PROMOTED, records_of(OLD, NEW))
    with pytest.raises(Precondition, match="version 3 of catalog 'toy' was published since the promotion of 'r'"):
        refuse_published(PROMOTED, records_of(OLD, NEW, NEW.replace("version: 2", "version: 3")))
