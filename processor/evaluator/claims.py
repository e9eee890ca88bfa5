"""Claims of challenges: decided from the log alone, by the state and the append time of the claim's record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Literal, NamedTuple

from processor.evaluator.entries import Board
from processor.evaluator.metrics import Crossed
from processor.evaluator.telling import Cause, ChallengeTeller
from schemas.challenges import offered
from schemas.events import Attributes, append_moment, attribute_of
from schemas.outcomes import Missing
from schemas.periods import period_name
from schemas.program import CatalogProgram, ChallengeSpec, ChallengesSpec, EventSpec
from schemas.state import CLAIM, CLAIM_DAYS, EACH_OF_KIND, ZONE, State
from schemas.zones import EPOCH_DAY, local_day


class Claim(NamedTuple):
    """Somebody claims a challenge. Shapes: day as it is written, None for today."""

    catalog: str
    challenge: str
    day: str | None


class ClaimStep:
    """Every claim is decided: it counts as crossed."""

    def __init__(self, spec: EventSpec) -> None:
        self._fields = [attribute_of(spec, name) for name in Claim._fields]

    def __call__(self, state: State, data: Any, at: datetime, event: Attributes) -> Crossed:
        return [(Claim(*(getattr(data, field) for field in self._fields)), at)]


class Decision(NamedTuple):
    """What became of a claim. Shapes: reason is a word for programs, None when it was not refused."""

    status: Literal["accepted", "repeated", "refused"]
    reason: str | None
    message: str
    missing: list[Missing]


class Offer:
    """The challenges of one catalog."""

    def __init__(self, catalog: CatalogProgram, challenges: ChallengesSpec, board: Board) -> None:
        self.board = board
        self._catalog, self._slot, self._per_day = catalog, challenges.slot, challenges.per_day
        self._metrics = {metric.key: metric for metric in catalog.metrics}
        self.challenges = {each.key: each for each in challenges.offered}
        self.tellers = {each.key: ChallengeTeller(catalog, each) for each in challenges.offered}

    def zone(self, state: State) -> str:
        return state[ZONE] or self._catalog.timezone

    def decide(self, state: State, user: str, challenge: ChallengeSpec, day: int, today: int) -> Decision:
        named = f"'{challenge.key}'"
        written = period_name(day, "day")
        if challenge.key not in offered(self._catalog.catalog, user, written, self.challenges, self._per_day):
            return refused("not_offered", f"{named} is not among the challenges of {written}")
        if day < today:
            return refused("expired", f"{written} is over: {named} could be claimed until midnight")
        if day > today:
            return refused("not_open", f"{written} has not begun: claim {named} on that day")
        value, target = self.value(state, challenge, day), challenge.when.at
        if value < target:
            missing = Missing(metric=challenge.when.metric, value=value, target=target)
            return refused("incomplete", f"{named} needs {target}, and {value} is reached", [missing])
        if CLAIM.pack(day, challenge.number) in self._claims(state):
            return Decision("repeated", None, f"{named} of {written} was claimed before", [])
        return Decision("accepted", None, f"{named} of {written} is completed", [])

    def value(self, state: State, challenge: ChallengeSpec, day: int) -> int:
        metric = self._metrics[challenge.when.metric]
        return dict(EACH_OF_KIND[metric.kind](state, metric.slot)).get(day, 0)

    def note(self, state: State, challenge: ChallengeSpec, day: int) -> None:
        """Remember a claim that was accepted; days so long ago are over for every claim."""
        claims = [*self._claims(state), CLAIM.pack(day, challenge.number)]
        state[self._slot] = b"".join(each for each in claims if CLAIM.unpack(each)[0] > day - CLAIM_DAYS)

    def _claims(self, state: State) -> list[bytes]:
        packed = state[self._slot]
        return [packed[start : start + CLAIM.size] for start in range(0, len(packed), CLAIM.size)]


class Accepted(NamedTuple):
    """A challenge that was completed, and when."""

    offer: Offer
    challenge: ChallengeSpec
    day: int


def judge(
    offers: Mapping[str, Offer], claim: Claim, state: State, cause: Cause
) -> tuple[Decision, Accepted | None]:
    """The answer to a claim, and what it completes."""
    offer = offers.get(claim.catalog)
    challenge = None if offer is None else offer.challenges.get(claim.challenge)
    if offer is None or challenge is None:
        return refused("unknown", f"there is no challenge '{claim.challenge}' in catalog '{claim.catalog}'"), None
    today = local_day(append_moment(cause.timestamp), offer.zone(state))
    day = today if claim.day is None else day_of(claim.day)
    if day is None:
        return refused("unknown", f"'{claim.day}' is no day: write it like {period_name(today, 'day')}"), None
    decision = offer.decide(state, cause.event.subject, challenge, day, today)
    return decision, Accepted(offer, challenge, day) if decision.status == "accepted" else None


def refused(reason: str, message: str, missing: list[Missing] | None = None) -> Decision:
    return Decision("refused", reason, message, missing or [])


def day_of(written: str) -> int | None:
    """Days since 1970 of a date, None for what is none."""
    try:
        return date.fromisoformat(written).toordinal() - EPOCH_DAY
    except ValueError:
        return None
