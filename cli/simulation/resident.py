"""Somebody among others who use the same product: what everybody does, whatever the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from cli.simulation.chance import Chance

Fact = tuple[str, dict[str, Any]]
Facts = Iterator[Fact]
Who = TypeVar("Who")
Act = tuple[int, Callable[[Who], Any], Callable[[Who], Facts]]  # how often, whether it is possible, the act

FRIENDS = 12


class Life(Protocol):
    """What somebody does with a product. The facts of one deed follow each other at once."""

    def register(self, profile: dict[str, Any]) -> Fact: ...

    def arrive(self) -> list[Fact]: ...

    def act(self) -> list[Fact]: ...


def one_of(acts: Sequence[Act[Who]], who: Who, chance: Chance) -> list[Fact]:
    """Do one of the things that can be done now."""
    possible = [(weight, act) for weight, can, act in acts if can(who)]
    return list(chance.weighed(possible)(who))


@dataclass
class Community:
    """Who has registered, in that order."""

    user_ids: list[str] = field(default_factory=list)


class Resident:
    """Registers, logs in, follows others. `user_ids` are those of all who have registered, in that order."""

    def __init__(self, user_id: str, user_ids: list[str], chance: Chance) -> None:
        self.user_id = user_id
        self.user_ids = user_ids
        self.chance = chance
        self.followed_ids: list[str] = []
        self.place = 0
        self._made = 0

    def register(self, profile: dict[str, Any]) -> Fact:
        """From now on others can find them."""
        self.place = len(self.user_ids)
        self.user_ids.append(self.user_id)
        return "user_registered", profile

    def arrive(self) -> list[Fact]:
        return [("login", {})]

    def has_company(self) -> bool:
        return len(self.user_ids) > 1

    def follow(self) -> Facts:
        friend = self.friend()
        if friend not in self.followed_ids:
            self.followed_ids.append(friend)
            yield "user_followed", {"followed_id": friend}

    def unfollow(self) -> Facts:
        yield "user_unfollowed", {"followed_id": self.followed_ids.pop(0)}

    def friend(self) -> str:
        """Mostly somebody who registered at about the same time, sometimes anybody; the first ones are popular."""
        ids = self.user_ids
        known = min(len(ids), FRIENDS + 1) if self.chance.happens(0.8) else len(ids)
        first = min(max(0, self.place - FRIENDS // 2), len(ids) - known)
        place = first + self.chance.near(0, known - 2)
        return ids[place + (place >= self.place)]

    def new_id(self, kind: str) -> str:
        self._made += 1
        return f"{kind}-{self.user_id}-{self._made}"
