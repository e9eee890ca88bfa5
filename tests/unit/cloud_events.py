"""CloudEvents as a test writes them: in one line."""

from __future__ import annotations

from typing import Any

ATTRIBUTES = ("timezone", "topic", "source", "appended")


def event(kind: str, at: str, /, *, user: str = "ann", event_id: str = "", **rest: Any) -> dict[str, Any]:
    """A CloudEvent at a time, or at noon of a day; what is not an attribute goes into its data."""
    attributes = {name: rest.pop(name) for name in ATTRIBUTES if name in rest}
    return {
        "specversion": "1.0",
        "id": event_id or f"{user}-{kind}-{at}-{rest}",
        "source": "/test",
        "type": kind,
        "subject": user,
        "time": at if "T" in at.upper() else f"{at}T12:00:00Z",
        "data": rest,
        **attributes,
    }
