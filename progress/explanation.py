"""Why somebody has an achievement, or why not yet."""

from __future__ import annotations

from typing import Literal

import msgspec

from progress.achievements import Family, Progress, progress_of
from progress.conditions import is_complete
from progress.instances import comes_again, standing_in
from progress.missing import Missing, missing_of
from progress.proofs import Proof, proof_of
from progress.rows import Award
from progress.seasons import season_of
from progress.standing import Standing
from progress.tiers import Member
from progress.wording import Wording
from schemas.program import AchievementSpec

SECRET = "something secret"

State = Literal["earned", "not_yet", "complete", "revoked", "upcoming", "over", "inactive"]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Shapes: `awards` newest first, revoked ones among them; `missing` is of the tier asked for, else the next.

    State `complete` is what lacks nothing and is not awarded: it was reached before the achievement was there, or
    the award is on its way. `asks` says in words what it takes, of the tier asked for or the next; `progress` is
    None of an achievement that the catalog has dropped.
    """

    user: str
    catalog: str
    key: str
    tier: str | None
    scope: str | None
    state: State
    asks: str
    progress: Progress | None
    awards: list[Proof]
    missing: list[Missing]
    missing_members: list[Member]


def explain(
    standing: Standing, key: str, *, tier: str | None = None, scope: str | None = None, operator: bool = False
) -> Explanation | None:
    """None for what the reader may not know to exist: an unknown key, and a secret one unless an operator asks.

    Raises: LaurelError on a scope that there cannot be.
    """
    entries = entries_told(standing, key, tier, operator)
    awards = [each for each in standing.person.awards if _is_asked_for(each, key, tier, scope)]
    if not entries and not awards:
        return None
    seen = _seen(standing, entries, awards, scope)
    state = _state(seen, entries, awards, scope, standing.today)
    progress = _progress(seen, entries, state) if entries else None
    return Explanation(
        user=standing.person.user,
        catalog=standing.program.catalog,
        key=key,
        tier=tier,
        scope=scope,
        state=state,
        asks=_asks(standing, entries),
        progress=progress,
        awards=[proof_of(standing, award) for award in awards],
        missing=missing_of(seen, entries, progress.conditions, scope) if progress else [],
        missing_members=[member for member in progress.members if not member.held] if progress else [],
    )


def _seen(standing: Standing, entries: list[AchievementSpec], awards: list[Award], scope: str | None) -> Standing:
    """As seen from the instance or period that is asked for; what has some of a former rule is seen as a whole."""
    if scope is None or not entries or (awards and not comes_again(entries[0])):
        return standing
    return standing_in(standing, entries[0], scope)


def _progress(standing: Standing, entries: list[AchievementSpec], state: State) -> Progress:
    """In a period that is not the present one nothing can be worked for."""
    progress = progress_of(standing, Family(entries))
    if progress.season is None or state not in ("over", "upcoming"):
        return progress
    season = msgspec.structs.replace(progress.season, state=state)
    return msgspec.structs.replace(progress, season=season, estimated_completion=None)


def _asks(standing: Standing, entries: list[AchievementSpec]) -> str:
    if not entries:
        return ""
    aim = next_of(standing, entries)
    requires = [SECRET if _is_secret(standing, name) else name for name in aim.requires]
    return Wording(standing.program).achievement(msgspec.structs.replace(aim, requires=requires))


def _is_secret(standing: Standing, reference: str) -> bool:
    entry = standing.entries.get(reference)
    return entry is not None and standing.is_hidden(entry)


def entries_told(standing: Standing, key: str, tier: str | None, operator: bool) -> list[AchievementSpec]:
    """The tiers of a key, low before high, or the one asked for."""
    named = [each for each in standing.program.achievements if each.key == key and tier in (None, each.tier)]
    told = [each for each in named if operator or not standing.is_hidden(each)]
    return sorted(told, key=lambda entry: entry.rank)


def known_keys(standing: Standing, operator: bool = False) -> list[str]:
    """Those that a reader may know, each once."""
    entries = standing.program.achievements
    return list(dict.fromkeys(each.key for each in entries if operator or not standing.is_hidden(each)))


def _is_asked_for(award: Award, key: str, tier: str | None, scope: str | None) -> bool:
    return award.achievement == key and tier in (None, award.tier) and scope in (None, award.scope)


def _state(
    standing: Standing, entries: list[AchievementSpec], awards: list[Award], scope: str | None, today: int
) -> State:
    """Of what comes again with every period, that of the present one, unless a scope is asked for."""
    held = any(award.revocation is None for award in awards)
    if held and (scope is not None or not entries or any(standing.holds(entry) for entry in entries)):
        return "earned"
    if awards and not held:
        return "revoked"
    if not any(entry.is_active for entry in entries):
        return "inactive"
    if standing.today != today:
        return "over" if standing.today < today else "upcoming"
    season = season_of(standing, entries[0])
    if season is not None and season.state != "open":
        return season.state
    return "complete" if is_complete(standing, next_of(standing, entries)) else "not_yet"


def next_of(standing: Standing, tiers: list[AchievementSpec]) -> AchievementSpec:
    """The lowest that is not held, else the highest."""
    return next((entry for entry in tiers if not standing.holds(entry)), tiers[-1])
