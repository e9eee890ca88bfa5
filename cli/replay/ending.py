"""How a replay ended, as an exit code."""

from __future__ import annotations

from replays.registry import Replay
from schemas.errors import LaurelError

OK = 0


def exit_code(replay: Replay) -> int:
    """Of one that has ended: 0 when it is done or was cancelled, as somebody wished; 1 when it failed."""
    return LaurelError.exit_code if replay.status == "failed" else OK
