"""What a full reprocessing writes, reckoned before it begins."""

from __future__ import annotations

from replays.space import topic_bytes
from schemas.topics import Names


def test_a_shadow_needs_room_for_its_topics_for_its_promotion_and_for_the_way_back() -> None:
    """By hand: 100 of states and 60 of the rest are 200 in a shadow; a promotion writes 125, and keeps 100."""
    names = Names("live")
    used = {names.changelog: 100, names.outcomes: 40, names.derived: 10, names.dead_letters: 10}

    assert topic_bytes(used, names) == 200 + 125 + 100
