"""The numbered steps of a replay's job: where a failpoint can end it, before it does what the step is called."""

from __future__ import annotations

from schemas.replays import (
    Activate,
    Base,
    Cancel,
    Done,
    End,
    Facts,
    Hold,
    Late,
    Prepare,
    Promote,
    Publish,
    Rehearse,
    Release,
    ReplayOrder,
    Revoke,
    Settle,
    Values,
)

PREPARE, BASE, END, DECIDE, ACTIVATE, FACTS, REVOKE, DONE, CANCEL, CLOSE = range(1, 11)
HOLD, SETTLE, PROMOTE, RELEASE, REHEARSE = range(11, 16)

STEPS: dict[type[ReplayOrder], int] = {
    Publish: PREPARE,
    Prepare: PREPARE,
    Base: BASE,
    Late: BASE,
    End: END,
    Activate: ACTIVATE,
    Facts: FACTS,
    Values: FACTS,
    Revoke: REVOKE,
    Done: DONE,
    Cancel: CANCEL,
    Hold: HOLD,
    Settle: SETTLE,
    Promote: PROMOTE,
    Release: RELEASE,
    Rehearse: REHEARSE,
}


def step_of(order: ReplayOrder) -> int:
    return STEPS[type(order)]
