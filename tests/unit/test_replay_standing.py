"""What `laurel replay status` makes of the registry's rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from cli.replay.standing import Standing, page
from replays.registry import PartitionProgress, Replay, Word

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
REPLAY = Replay(
    id="toy-v2-1",
    status="running",
    kind="fold_and_merge",
    catalog="toy",
    version=2,
    sha256="ab" * 32,
    notify="digest",
    policy="keep",
    dates="exact",
    from_versions={"toy": 1},
    muted=[("toy", "duo")],
    filling=[("toy", "partners")],
    plan={},
    partitions=3,
    who="ada",
    created_at=AT,
    decided_at=None,
    ended_at=None,
    failure=None,
)


def progress(partition: int, position: int, rate: float | None) -> PartitionProgress:
    return PartitionProgress(partition, "filling", position, 1_000, 7, rate, AT)


PARTITIONS = [progress(0, 1_000, 900.0), progress(1, 400, 100.0), progress(2, 800, 100.0)]


def shown(standing: Standing) -> str:
    console = Console(width=200, file=StringIO())
    with console.capture() as capture:
        console.print(page(standing))
    return capture.get()


def test_time_left_is_what_is_left_by_the_rates_of_those_that_are_under_way() -> None:
    """600 + 200 records at 200 a second; the partition that has ended is no help."""
    standing = Standing(REPLAY, PARTITIONS, None)

    assert (standing.rate, standing.seconds_left) == (200.0, 4.0)
    assert "toy-v2-1: running, 200 records/s, 4 s left" in shown(standing)


def test_nothing_is_promised_before_a_rate_is_known() -> None:
    assert Standing(REPLAY, [], None).seconds_left is None
    assert Standing(REPLAY, [progress(0, 0, None)], None).seconds_left is None


def test_a_paused_one_says_who_paused_it_and_no_time() -> None:
    standing = Standing(replace(REPLAY, status="paused"), PARTITIONS, Word("grace", AT))

    assert standing.seconds_left is None
    assert "toy-v2-1: paused by grace at 05:06:07 UTC" in shown(standing)
    assert standing.told()["paused_by"] == "grace"


def test_a_failed_one_says_why() -> None:
    failed = replace(REPLAY, status="failed", failure="the log begins at 40")

    assert "toy-v2-1: failed: the log begins at 40" in shown(Standing(failed, [], None))


@pytest.mark.parametrize(("phase", "says"), [("held", False), ("level", True)])
def test_a_promotion_that_was_given_up_says_why_also_before_its_shadow_is_level_again(
    phase: str, says: bool
) -> None:
    given_up = replace(REPLAY, kind="full", shadow="toy-a", failure="live events have waited", partitions=1)
    told = shown(Standing(given_up, [PARTITIONS[0]._replace(phase=phase)], None))

    assert "not promoted: live events have waited" in told
    assert ("ready: " in told) is says


def test_one_that_nobody_carries_out_says_what_to_look_at() -> None:
    standing = Standing(REPLAY, [], None, is_still=True)

    assert "toy-v2-1: running, but nothing was heard of it for 30 s: does a `laurel replayer` run?" in shown(
        standing
    )
    assert standing.told()["is_still"]


def test_each_partition_has_a_line() -> None:
    lines = [line.split() for line in shown(Standing(REPLAY, PARTITIONS, None)).splitlines()[-3:]]

    assert [line[:5] for line in lines] == [
        ["0", "filling", "1,000", "1,000", "7"],
        ["1", "filling", "400", "1,000", "7"],
        ["2", "filling", "800", "1,000", "7"],
    ]


def test_one_that_is_done_shows_how_many_users_and_not_what_its_last_phase_read() -> None:
    done = Standing(
        replace(REPLAY, status="done"), [PARTITIONS[0]._replace(phase="active", position=0, of=0)], None
    )

    assert [line.split() for line in shown(done).splitlines()[-2:]] == [["partition", "users"], ["0", "7"]]
