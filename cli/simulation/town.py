"""What musicians share: each other, the wishes they vote on, the bugs they report."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from cli.simulation.resident import Community

OPEN_REQUESTS_MAX = 200
OPEN_BUGS_MAX = 200


@dataclass
class Request:
    id: str
    owner_id: str
    title: str
    votes: int = 0


@dataclass
class Bug:
    id: str
    reporter_id: str
    title: str


@dataclass
class Town(Community):
    """Also what is open; the oldest wishes and bugs are forgotten."""

    requests: deque[Request] = field(default_factory=lambda: deque(maxlen=OPEN_REQUESTS_MAX))
    bugs: deque[Bug] = field(default_factory=lambda: deque(maxlen=OPEN_BUGS_MAX))
