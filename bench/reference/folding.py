"""The fold itself: every event to its user, and what it means for others to theirs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.reference import bounds
from bench.reference.catalog import XP, Catalog, thresholds_of, truth
from bench.reference.challenges import CLAIM, answer
from bench.reference.days import day_of
from bench.reference.event import Happening, happening
from bench.reference.result import Answer, Result
from bench.reference.standing import Standing

COMMANDS = "commands"


def fold(events: Iterable[Mapping[str, Any]], catalogs: Sequence[str | Mapping[str, Any]]) -> Result:
    """Fold CloudEvents, in the order they were published, by catalogs given as YAML text or as what it says.

    An event may name its `topic`; it must where several topics carry its type. A command is an event whose topic is
    `commands`; when its record was appended it says in `appended`, unless that is its time.
    """
    reference = Reference([Catalog(source) for source in catalogs])
    for event in events:
        reference.take(event)
    return reference.finished()


class User:
    """Everything about one user."""

    def __init__(self, name: str, catalogs: Sequence[Catalog], result: Result) -> None:
        self.applied_ids: dict[tuple[str, str], list[tuple[str, str]]] = {}
        self.standings = {each.name: Standing(name, each, result) for each in catalogs}
        self.zone: str | None = None

    def has_seen(self, event: Happening) -> bool:
        """Whether this id is among the last of its type; if not, it is from now on."""
        ids = self.applied_ids.setdefault((event.origin, event.type), [])
        if (event.source, event.id) in ids[-bounds.RECENT_IDS_MAX :]:
            return True
        ids.append((event.source, event.id))
        return False


class Reference:
    def __init__(self, catalogs: list[Catalog]) -> None:
        self.catalogs = catalogs
        self.users: dict[str, User] = {}
        self.result = Result()

    def take(self, event: Mapping[str, Any]) -> None:
        topic = self.topic_of(event)
        if topic is None:
            self.result.skipped += 1
        elif self.apply(happening(event, topic), [each for each in self.catalogs if topic in topics(each, event)]):
            self.result.applied += 1
        else:
            self.result.duplicates += 1

    def topic_of(self, event: Mapping[str, Any]) -> str | None:
        """The topic of an event, or None where no catalog declares its type there."""
        if event.get("topic") == COMMANDS:
            return COMMANDS if event["type"] == CLAIM else None
        found = {topic for each in self.catalogs for topic in topics(each, event)}
        if "topic" in event:
            found &= {event["topic"]}
        if len(found) > 1:
            raise ValueError(
                f"event {event['id']} of type '{event['type']}' may belong to {' or '.join(sorted(found))}: "
                "name one in its attribute `topic`"
            )
        return next(iter(found), None)

    def apply(self, event: Happening, concerned: list[Catalog]) -> bool:
        """Apply an event, and what it means for others; False for a duplicate."""
        if event.user not in self.users:
            self.users[event.user] = User(event.user, self.catalogs, self.result)
        user = self.users[event.user]
        if user.has_seen(event):
            return False
        user.zone = event.zone or user.zone
        if event.origin == COMMANDS:
            self.result.answers[event.id] = self.claim(event, user)
        for catalog in concerned:
            user.standings[catalog.name].take(event)
        for catalog in concerned:
            self.derive(catalog, event)
        return True

    def claim(self, event: Happening, user: User) -> Answer:
        standing = user.standings.get(str(event.data.get("catalog")))
        zone = user.zone or (standing.catalog.zone if standing else "UTC")
        return answer(event, standing, day_of(event.appended, zone))

    def derive(self, catalog: Catalog, parent: Happening) -> None:
        for rule in catalog.derivations(parent.type):
            subject = parent.look(rule["subject"])
            if not isinstance(subject, str) or not subject.strip():
                continue
            if truth(rule.get("unless_self", False)) and subject == parent.user:
                continue
            self.result.derived += self.apply(derived(catalog, parent, rule, subject), [catalog])

    def finished(self) -> Result:
        result = self.result
        for name, user in self.users.items():
            standings = user.standings
            result.metrics[name] = {each: standing.metrics() for each, standing in standings.items()}
            result.points[name] = {each: standing.points() for each, standing in standings.items()}
            leveled = {each: standing for each, standing in standings.items() if standing.catalog.levels_of}
            result.levels[name] = {each: standing.level() for each, standing in leveled.items()}
            for standing in standings.values():
                result.awards |= standing.awards()
        hanging = {(each.name, key) for each in self.catalogs for key in undated(each)}
        result.undated = {award for award in result.awards if award[1:3] in hanging}
        return result


def topics(catalog: Catalog, event: Mapping[str, Any]) -> set[str]:
    topic = catalog.topic_of(event["type"])
    return {topic} if topic is not None else set()


def derived(catalog: Catalog, parent: Happening, rule: Mapping[str, Any], subject: str) -> Happening:
    """The event that another user gets out of this one. The same parent always gives the same id."""
    paths = rule.get("data") or {}
    return Happening(
        origin=f"derived by {catalog.name}",
        type=rule["type"],
        source=f"laurel/{catalog.name}",
        id=f"{rule['type']} {subject} {parent.source} {parent.id}",
        user=subject,
        at=parent.at,
        zone=parent.zone,
        data={name: parent.look(path) for name, path in paths.items()},
        appended=parent.appended,
    )


def undated(catalog: Catalog) -> set[str]:
    """The achievements that hang on a derived event: through a metric, what they require, or XP that it decides."""
    types = {rule["type"] for event_type in catalog.events for rule in catalog.derivations(event_type)}
    fed = {key for key, metric in catalog.metrics.items() if types & {feed.type for feed in metric.feeds}}
    fed |= {XP for gift in catalog.gifts if gift.feed.type in types}
    found: set[str] = set()
    for _ in catalog.achievements:
        found |= {
            each.name
            for each in catalog.achievements.values()
            if fed & {part.metric for part in thresholds_of(each.when)}
            or found & set(each.requires)
            or types & {feed.type for feed in each.on}
        }
        fed |= {XP for name in found if catalog.achievements[name].xp}
    return found
