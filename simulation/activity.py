"""What publishers send in a simulated quarter of a minute: events, retries, late ones, nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from processor.kafka.batches import Place
from schemas.errors import Cause
from schemas.topics import Names, partition_of
from simulation.broker import Sent

NAMES = Names("simulated")
PLAYS, RATINGS = "toy.plays", "toy.ratings"
SOURCES = (PLAYS, RATINGS)
ZONES = (None, None, None, "Europe/Paris", "Asia/Tokyo", "America/New_York")
LATEST = datetime(2025, 10, 1, tzinfo=UTC)
DAYS = 9

Said = dict[str, Any]


class Publication(NamedTuple):
    """A record for a place, and what must become of it: an event, nothing (neither), or a dead letter; one that is
    both is a dead letter by versions that are too strict for it."""

    place: Place
    sent: Sent
    event: Said | None = None
    refusal: Cause | None = None


class Publishers:
    """Makes publications up. Shapes: rates, kind -> likelihood."""

    def __init__(self, chance: Random, partitions: int, users: int, rates: dict[str, float]) -> None:
        self._chance, self._partitions = chance, partitions
        self._rates = {kind: rate for kind, rate in rates.items() if partitions > 1 or kind != "another partition"}
        self._users = [f"user-{number}" for number in range(users)]
        self._sent: list[Publication] = []
        self._number = 0

    def some(self, count: int) -> Iterator[Publication]:
        last = None
        for _ in range(count):
            last = self._one(last)
            yield last

    def _one(self, last: Publication | None) -> Publication:
        kind = next((kind for kind, rate in self._rates.items() if self._chance.random() < rate), "fresh")
        if kind == "again" and (known := self._to_send_again(last)) is not None:
            return known
        made = STRANGE[kind](self) if kind in STRANGE else self._fresh()
        if made.event is not None and "partner" not in made.event["data"]:
            self._sent.append(made)
        return made

    def _to_send_again(self, last: Publication | None) -> Publication | None:
        """A publisher's retry: the same event at a new offset, at once or much later.

        One that derives another only at once. Beyond the window of remembered ids it counts again, and whether what
        it derives then does too depends on the order in which several partitions derive.
        """
        if last is not None and last.event is not None and self._chance.random() < 0.5:
            return last
        return self._chance.choice(self._sent[-40:]) if self._sent else None

    def _fresh(self) -> Publication:
        said = self._said()
        return Publication(self._place(said), sent(said), event=said)

    def _said(self) -> Said:
        chance = self._chance
        self._number += 1
        event_type = chance.choice(("played", "played", "practised", "rated"))
        happened = LATEST - timedelta(days=chance.randrange(DAYS), seconds=chance.randrange(86_400))
        said: Said = {
            "specversion": "1.0",
            "id": f"e{self._number}",
            "source": chance.choice(("web", "app")),
            "type": event_type,
            "subject": chance.choice(self._users),
            "time": happened.isoformat().replace("+00:00", "Z"),
            "data": self._data(event_type),
        }
        zone = chance.choice(ZONES)
        return said if zone is None else said | {"timezone": zone}

    def _data(self, event_type: str) -> Said:
        chance = self._chance
        match event_type:
            case "played":
                partner = {"partner": chance.choice(self._users)} if chance.random() < 0.2 else {}
                return {"piece": f"piece-{chance.randrange(8)}"} | partner
            case "practised":
                return {"minutes": chance.randrange(45)}
        return {"stars": chance.randint(1, 5)}

    def _place(self, said: Said) -> Place:
        topic = RATINGS if said["type"] == "rated" else PLAYS
        return topic, partition_of(said["subject"].encode(), self._partitions)

    def _unknown(self) -> Publication:
        said = self._said() | {"type": "whistled"}
        return Publication(self._place(said), sent(said))

    def _malformed(self) -> Publication:
        said = self._said()
        return Publication(self._place(said), Sent(said["subject"].encode(), b"{"), refusal="malformed_json")

    def _without_value(self) -> Publication:
        said = self._said()
        return Publication(self._place(said), Sent(said["subject"].encode(), None), refusal="null_value")

    def _of_another_key(self) -> Publication:
        said = self._said()
        return Publication(self._place(said), sent(said)._replace(key=b"somebody"), refusal="wrong_key")

    def _from_the_future(self) -> Publication:
        said = self._said() | {"time": "2031-01-01T00:00:00Z"}
        return Publication(self._place(said), sent(said), refusal="bad_time")

    def _of_another_partition(self) -> Publication:
        said = self._said()
        said["subject"] = f"stranger-{self._number}"
        topic, number = self._place(said)
        return Publication((topic, (number + 1) % self._partitions), sent(said), refusal="wrong_partition")

    def _loose(self) -> Publication:
        """Of a zone that moves nobody."""
        said = self._said() | {"type": "practised"}
        said["data"] = self._data("practised") | {"room": 7}
        said.pop("timezone", None)
        return Publication(self._place(said), sent(said), event=said, refusal="bad_data")


STRANGE: dict[str, Callable[[Publishers], Publication]] = {
    "loose": Publishers._loose,
    "unknown": Publishers._unknown,
    "malformed": Publishers._malformed,
    "without value": Publishers._without_value,
    "another key": Publishers._of_another_key,
    "future": Publishers._from_the_future,
    "another partition": Publishers._of_another_partition,
}


def sent(said: Said) -> Sent:
    return Sent(said["subject"].encode(), json.dumps(said).encode())


def by_place(publications: Sequence[Publication]) -> dict[Place, list[Sent]]:
    found: dict[Place, list[Sent]] = {}
    for each in publications:
        found.setdefault(each.place, []).append(each.sent)
    return found
