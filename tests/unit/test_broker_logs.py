"""What is left of a Kafka client's logs. No server."""

from __future__ import annotations

import logging

from broker.logs import EVERY_S, Sparing


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def said(name: str, node: int) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, "Unable connect to node with id %s", (node,), None)


def test_a_client_without_a_broker_says_so_once_in_a_while_and_how_often() -> None:
    clock = Clock()
    sparing = Sparing(clock)

    assert [sparing.filter(said("aiokafka", node)) for node in (1, 1, 2)] == [True, False, False]
    clock.now += EVERY_S
    again = said("aiokafka", 2)
    assert sparing.filter(again)
    assert again.getMessage() == "Unable connect to node with id 2 (and 2 more like it before)"


def test_what_others_say_is_never_left_out() -> None:
    sparing = Sparing(Clock())

    assert [sparing.filter(said("processor.kafka", 1)) for _ in range(3)] == [True, True, True]
    assert sparing.filter(said("aiokafka", 1))
    assert sparing.filter(said("aiokafka.consumer", 1))
