"""What an example gives: events and claims, in the order in which they arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from cli.catalog.shapes import Shapes
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.shape import shown
from schemas.program import CatalogProgram
from schemas.zones import find_zone

USER = "ada"
FIRST_AT = datetime(2026, 1, 5, 12, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)
TIMES_MAX = 10_000
CLAIM = "claim"
OPTIONS = frozenset({"user", "at", "timezone", "times", "every", "id", "day"})
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
SPAN = re.compile(r"\+?(\d{1,6})([smhdw])")


class Given(NamedTuple):
    """An event, or the claim of a challenge; both numbers count from 1."""

    step: int
    copy: int
    type: str
    user: str
    at: datetime
    timezone: str | None
    id: str
    data: dict[str, Any]

    @property
    def is_claim(self) -> bool:
        return self.type == CLAIM

    def __str__(self) -> str:
        what = f"claim of {self.data['challenge']}" if self.is_claim else self.type
        return f"step {self.step} ({what}, {self.at.isoformat().replace('+00:00', 'Z')})"


class GivenReader(Shapes):
    def __init__(self, program: CatalogProgram, report: Report) -> None:
        super().__init__(report)
        self._catalog = program.catalog
        self._types = {event.type for event in program.events if event.topic is not None}
        self._challenges = {each.key for each in program.challenges.offered} if program.challenges else set()

    def read(self, path: Path, said: object) -> Iterator[Given]:
        at: datetime | None = None
        for place, step in enumerate(self.listed(path, said)):
            for given in self._step((*path, place), self.mapping((*path, place), step), at):
                at = given.at
                yield given

    def _step(self, path: Path, words: Mapping[str, Any], before: datetime | None) -> Iterator[Given]:
        kinds = [word for word in words if word not in OPTIONS]
        if len(kinds) != 1:
            what = f"`{kinds[0]}` and `{kinds[1]}` are two events" if kinds else "the step names no event"
            self.report.add(path, what, "write one event a step: `- {song_released: {song_id: a}}`")
            return
        at, every = self._time((*path, "at"), words.get("at"), before), self._every(path, words)
        event = self._event(path, kinds[0], words)
        for copy in range(1, self._times(path, words) + 1):
            data = {name: numbered(value, copy) for name, value in event.data.items()}
            identity = event.id or f"{event.step}-{copy}"
            yield event._replace(copy=copy, at=at + (copy - 1) * every, id=identity, data=data)

    def _event(self, path: Path, kind: str, words: Mapping[str, Any]) -> Given:
        zone = words.get("timezone")
        if zone is not None and find_zone(str(zone)) is None:
            self.report.add(
                (*path, "timezone"), f"{shown(zone)} is no time zone", "write `Europe/Paris` or the like"
            )
        return Given(
            step=int(path[-1]) + 1,
            copy=1,
            type=kind,
            user=str(words.get("user", USER)),
            at=FIRST_AT,
            timezone=None if zone is None else str(zone),
            id=str(words.get("id", "")),
            data=self._claim(path, words) if kind == CLAIM else self._data((*path, kind), kind, words[kind]),
        )

    def _claim(self, path: Path, words: Mapping[str, Any]) -> dict[str, Any]:
        challenge = str(words[CLAIM])
        if challenge not in self._challenges:
            remedy = nearest(challenge, self._challenges)
            self.report.add((*path, CLAIM), f"no challenge `{challenge}` is listed", remedy)
        day = {"day": str(words["day"])} if "day" in words else {}
        return {"catalog": self._catalog, "challenge": challenge} | day

    def _data(self, path: Path, kind: str, said: object) -> dict[str, Any]:
        if kind not in self._types:
            self.report.add(path, f"no event `{kind}` is declared", nearest(kind, self._types))
        return {} if said is None else self.mapping(path, said)

    def _times(self, path: Path, words: Mapping[str, Any]) -> int:
        times = words.get("times", 1)
        if isinstance(times, int) and 1 <= times <= TIMES_MAX:
            return times
        self.report.add((*path, "times"), f"{shown(times)} cannot stand here", f"write 1 to {TIMES_MAX}")
        return 1

    def _every(self, path: Path, words: Mapping[str, Any]) -> timedelta:
        return self._span((*path, "every"), words["every"]) if "every" in words else A_MINUTE

    def _time(self, path: Path, said: object, before: datetime | None) -> datetime:
        """A moment, or a span after the step before."""
        if said is None:
            return FIRST_AT if before is None else before + A_MINUTE
        if isinstance(said, str) and said.startswith("+"):
            return (before or FIRST_AT) + self._span(path, said)
        moment = moment_said(str(said))
        if moment is None:
            remedy = "write `2026-05-01T10:00:00Z`, or `+1d`, `+2h`, `+30m` after the step before"
            self.report.add(path, f"{shown(said)} is no time with an offset", remedy)
        return moment or FIRST_AT

    def _span(self, path: Path, said: object) -> timedelta:
        found = SPAN.fullmatch(str(said))
        if found is None:
            self.report.add(path, f"{shown(said)} is no span of time", "write `1d`, `2h`, `30m` or the like")
            return A_MINUTE
        return timedelta(**{UNITS[found[2]]: int(found[1])})


def moment_said(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else None


def numbered(value: Any, copy: int) -> Any:
    """`{n}` in a text is the number of the copy; a decimal becomes what JSON can hold."""
    if isinstance(value, list):
        return [numbered(each, copy) for each in value]
    if isinstance(value, Decimal):
        return float(value)
    return value.replace("{n}", str(copy)) if isinstance(value, str) else value
