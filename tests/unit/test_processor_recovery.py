"""What a static member that came back was not given."""

from __future__ import annotations

from faust.types import TP

from processor.kafka.recovery import not_given

OURS = {TP("songs", 1), TP("orders", 1), TP("changelog", 1)}


def test_a_topic_of_which_nothing_is_given_was_not_read_before() -> None:
    assert not_given({"songs", "orders", "derived"}, OURS) == ["derived"]
    assert not_given({"songs", "orders"}, OURS) == []


def test_a_spare_member_has_nothing_and_misses_nothing() -> None:
    assert not_given({"songs"}, set()) == []
