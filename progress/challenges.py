"""The challenges that a user is offered today, and how far each is."""

from __future__ import annotations

from datetime import date, datetime

import msgspec

from progress.conditions import Part, status_of
from progress.standing import Number, Standing
from progress.translations import texts_of
from schemas.challenges import offered
from schemas.program import ChallengeSpec
from schemas.zones import day_start


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """A challenge of today. Units: `expires_at` is the next midnight where the user lives.

    Shapes: it can be claimed while it is complete and not claimed.
    """

    key: str
    name: str
    description: str
    type: str
    icon: str
    xp: int
    day: date
    value: Number | None
    target: Number | None
    percent: int
    completed: bool
    claimed: bool
    claimed_at: datetime | None
    expires_at: datetime


def challenges_of(standing: Standing, language: str | None = None) -> list[Challenge]:
    """In the order in which they are offered; none in a catalog without challenges."""
    challenges = standing.program.challenges
    if challenges is None:
        return []
    specs = {spec.key: spec for spec in challenges.offered}
    day = standing.date.isoformat()
    keys = offered(standing.program.catalog, standing.person.user, day, specs, challenges.per_day)
    return [_challenge(standing, specs[key], language) for key in keys]


def _challenge(standing: Standing, spec: ChallengeSpec, language: str | None) -> Challenge:
    status, texts = status_of(standing, Part(spec.key, spec.when)), texts_of(spec, language)
    claims = {(done.challenge, done.day): done.earned_at for done in standing.person.challenges}
    claimed_at = claims.get((spec.key, standing.date))
    return Challenge(
        key=spec.key,
        name=texts.name,
        description=texts.description,
        type=spec.type,
        icon=spec.icon,
        xp=spec.xp,
        day=standing.date,
        value=status.value,
        target=status.target,
        percent=status.percent,
        completed=status.met,
        claimed=claimed_at is not None,
        claimed_at=claimed_at,
        expires_at=day_start(standing.today + 1, standing.zone),
    )
