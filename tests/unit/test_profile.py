"""What a worker's profile says."""

from __future__ import annotations

import json

import pytest

from processor.profile import Profile, percentile


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [([], 0.5, 0.0), ([3.0], 0.99, 3.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), (range(1, 101), 0.99, 99)],
)
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values, share, expected):
    assert percentile(values, share) == expected


def test_the_profile_tells_how_many_checkpoints_there_were_and_how_long_they_took(tmp_path):
    profile = Profile(tmp_path / "profile.jsonl")
    for ms in range(1, 101):
        profile.checkpoint(ms / 1000)

    profile.write()

    told = json.loads((tmp_path / "profile.jsonl").read_text())
    assert told["counts"] == {"checkpoints": 100}
    assert told["checkpoint_ms"] == {"p50": 50.0, "p99": 99.0}
