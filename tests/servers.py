"""One Kafka and one Postgres of a test run's own: started when the first test asks, shared by all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cli.stack import LocalStack


class Servers(NamedTuple):
    kafka: str
    postgres: str
    stack: LocalStack


@contextmanager
def running_servers() -> Iterator[Servers]:
    """In a temporary folder and on free ports. What is configured outside is not touched by tests."""
    with LocalStack(ephemeral=True, environ={}) as stack:
        yield Servers(stack.kafka, stack.postgres, stack)
