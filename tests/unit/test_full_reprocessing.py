"""Full reprocessing without servers: where a shadow stands, what it is called, whether there is room for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from broker.log_dirs import disks_of
from replays.beholding import Sight, is_level, reports
from replays.shadow import refuse_foreign, shadow_namespace
from replays.space import Space, refuse_no_space
from schemas.errors import LaurelError, Precondition
from schemas.replays import ReplayNote
from schemas.state import Control
from schemas.topics import Names
from tests.unit.test_returning import PROMOTED

LIVE, SHADOW = Names("live"), Names("live-12345678", follows="live")
MIB = 1024**2


def sight(*, shadow_at: int, derived_at: int = 4, live_derived_at: int = 7, unshown: int = 0) -> Sight:
    """Of one partition: the source is folded to 10 live, 4 records are derived in the shadow, 7 live."""
    here = {"plays": 10, LIVE.derived: live_derived_at, LIVE.replay_assignments: 3}
    there = {"plays": shadow_at, SHADOW.derived: derived_at, SHADOW.replay_assignments: 1}
    live, shadow = Control(positions=here, users=9), Control(positions=there, catalogs={"toy": 2}, users=5)
    return Sight(LIVE, SHADOW, {0: live}, {0: shadow}, {0: 7}, {0: 4}, {0: unshown})


def settled(**cut: int) -> ReplayNote:
    return ReplayNote(phase="settled", cut={"plays": 10, **cut}, attempt=1)


def test_a_shadow_is_at_the_cut_when_sources_and_what_was_derived_are_folded() -> None:
    assert sight(shadow_at=10).is_at_cut(0, settled())
    assert not sight(shadow_at=9).is_at_cut(0, settled())
    assert not sight(shadow_at=10, derived_at=3).is_at_cut(0, settled())


def test_a_partition_has_settled_when_all_that_was_derived_live_is_folded() -> None:
    at_end = settled(**{LIVE.derived: 7})
    assert sight(shadow_at=0).has_settled(0, at_end)
    assert not sight(shadow_at=0, live_derived_at=6).has_settled(0, at_end)
    assert not sight(shadow_at=0).has_settled(0, settled(**{LIVE.derived: 5})), "it has grown since"
    assert not sight(shadow_at=0).has_settled(0, ReplayNote(phase="held", cut={"plays": 10}, attempt=1))


def test_a_report_tells_the_shadows_users_and_is_level_only_once_it_runs_what_is_to_be_promoted() -> None:
    """A way back begins with what ran before."""
    (report,) = reports(PROMOTED, sight(shadow_at=10), None, 0, ())
    (early,) = reports(replace(PROMOTED, version=3), sight(shadow_at=10), None, 0, ())

    assert (report.phase, report.position, report.of, report.users) == ("level", 10, 10, 5)
    assert early.phase == "folding"


@pytest.mark.parametrize(
    "behind", [{"shadow_at": 9}, {"shadow_at": 10, "derived_at": 3}, {"shadow_at": 10, "unshown": 1}]
)
def test_where_nothing_comes_live_a_shadow_is_level_only_with_its_last_row(behind: dict[str, int]) -> None:
    """Who compares then is told of everything."""
    (report,) = reports(PROMOTED, sight(**behind), sight(shadow_at=0), 0.5, ())
    assert report.phase == "folding"


def test_under_a_load_a_shadow_is_level_when_it_is_two_seconds_behind_and_stays_so_for_a_while() -> None:
    """Whoever read that it is ready is not refused because something has just come."""
    assert is_level(40_000, flow=20_000.0, was_level=False)
    assert not is_level(40_001, flow=20_000.0, was_level=False)
    assert is_level(100, flow=0.0, was_level=True)
    assert not is_level(101, flow=0.0, was_level=True)
    assert is_level(200_000, flow=20_000.0, was_level=True)


def test_a_shadow_has_a_name_that_a_namespace_may_have_and_no_topic_of_the_live_one() -> None:
    longest = Names("n" * 40)
    shadow = Names(shadow_namespace(longest, "toy-v2-12345678"), follows=longest.namespace)
    refuse_foreign(longest, shadow.specs())
    assert shadow.commands == longest.commands
    with pytest.raises(LaurelError, match="is live: nothing is done"):
        refuse_foreign(longest, longest.specs())


def test_space_is_refused_only_where_brokers_tell_that_there_is_none() -> None:
    refuse_no_space(Space(topics=10 * MIB, schema=1, free=30 * MIB), reserve=20 * MIB)
    refuse_no_space(Space(topics=10 * MIB, schema=1, free=None), reserve=20 * MIB)
    with pytest.raises(Precondition, match=r"need about 10 MiB, and 20 MiB are to stay free .* has 29 MiB left"):
        refuse_no_space(Space(topics=10 * MIB, schema=1, free=29 * MIB), reserve=20 * MIB)


def test_disks_count_every_replica_and_the_broker_with_the_least_room() -> None:
    def answer(free: int, size: int) -> dict[str, object]:
        partitions = [{"partition_size": size}, {"partition_size": 2 * size}]
        topics = [{"name": "a", "partitions": partitions}, {"name": "other", "partitions": partitions}]
        return {"results": [{"topics": topics, "usable_bytes": free}]}

    found = disks_of([answer(500, 10), answer(300, 10)], ["a", "b"])

    assert (found.used, found.free) == ({"a": 60, "b": 0}, 300)
