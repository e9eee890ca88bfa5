"""`laurel explain`: why somebody has an achievement, or why not yet."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cli.bars import ABOUT, bar, day, moment, number
from cli.output import print_told
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, User, every_standing
from progress.explanation import Explanation, explain, known_keys
from progress.missing import Counting, Missing
from progress.proofs import Proof
from progress.standing import Standing
from schemas.catalog.findings import nearest
from schemas.errors import LaurelError

SAID_OF = {
    "earned": "earned",
    "not_yet": "not yet",
    "complete": "complete, and not awarded: reached before the achievement was there, or the award is on its way",
    "revoked": "earned once, and revoked",
    "upcoming": "its season has not begun",
    "over": "its season is over",
    "inactive": "it cannot be earned any more",
}


def command(
    user: User,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The achievement's key.")],
    catalog: CatalogOption = None,
    tier: Annotated[str | None, typer.Option("--tier", help="One of its tiers.")] = None,
    scope: Annotated[str | None, typer.Option("--scope", help="One of its instances, or periods.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="Secret achievements too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Why somebody has an achievement, down to the record that gave it, or what is missing and what would count."""
    told = explanation(Settings(), user, key, catalog, tier=tier, scope=scope, operator=operator)
    if as_json:
        print_told(told)
    else:
        print_explanation(Console(highlight=False), told)


def explanation(
    settings: Settings,
    user: str,
    key: str,
    catalog: str | None,
    *,
    tier: str | None = None,
    scope: str | None = None,
    operator: bool = False,
) -> Explanation:
    """Raises: LaurelError on an unknown key, or one that several catalogs have."""
    standings = every_standing(settings, user, catalog)
    asked = (explain(each, key, tier=tier, scope=scope, operator=operator) for each in standings)
    told = [each for each in asked if each is not None]
    if not told:
        raise unknown_key(standings, key, tier, operator)
    if len(told) > 1:
        names = " or ".join(f"--catalog {each.catalog}" for each in told)
        raise LaurelError(f"several catalogs have an achievement '{key}': say {names}")
    return told[0]


def unknown_key(standings: list[Standing], key: str, tier: str | None, operator: bool) -> LaurelError:
    known = {name for each in standings for name in known_keys(each, operator)}
    if key in known:
        entries = [entry for each in standings for entry in each.program.achievements if entry.key == key]
        tiers = [entry.tier for entry in entries if entry.tier]
        return LaurelError(f"achievement '{key}' has no tier '{tier}': {_tiers_there_are(tiers)}")
    return LaurelError(f"no achievement '{key}' is known: {nearest(key, known)}")


def _tiers_there_are(tiers: list[str]) -> str:
    return f"it has {', '.join(tiers)}" if tiers else "it has no tiers, so leave --tier out"


def print_explanation(console: Console, told: Explanation) -> None:
    progress = told.progress
    name = progress.name if progress else told.awards[0].name
    percent = f"  {bar(progress.percent)} {progress.percent} %" if progress else ""
    console.print(f"[bold]{escape(name)}[/bold] ({told.catalog}/{told.key}): {SAID_OF[told.state]}{percent}")
    if told.asks:
        console.print(f"asks for {escape(told.asks)}")
    for proof in told.awards:
        print_proof(console, proof)
    for missing in told.missing:
        print_missing(console, missing)
    if progress and progress.estimated_completion:
        console.print(f"at the present pace on {day(progress.estimated_completion)}")


def print_proof(console: Console, proof: Proof) -> None:
    named = ", ".join(escape(part) for part in (proof.tier, proof.scope) if part)
    earned = f"{ABOUT[proof.dates]}{moment(proof.earned_at)}"
    console.print(f"\n{f'{named}: ' if named else ''}earned {earned}, awarded {moment(proof.awarded_at)}")
    if proof.after is not None:
        before = f"{number(proof.before)} → " if proof.before is not None else ""
        console.print(f"  {proof.metric}: {before}{number(proof.after)}")
    where = proof.evidence
    console.print(
        f"  by event {escape(where.event_id)} at {where.topic}, partition {where.partition}, offset {where.offset}"
    )
    console.print(f"  catalog version {proof.catalog_version}, {proof.catalog_sha256}; {proof.origin}")
    if proof.revoked:
        console.print(
            f"  revoked {moment(proof.revoked.revoked_at)}: {escape('; so '.join(proof.revoked.reasons))}"
        )


def print_missing(console: Console, missing: Missing) -> None:
    console.print(f"  {escape(_missing_told(missing))}")
    for counting in missing.counts:
        console.print(f"    counts: {escape(_counting_told(counting))}")


def _missing_told(missing: Missing) -> str:
    if missing.achievement:
        tier = f"/{missing.tier}" if missing.tier else ""
        return f"requires {missing.achievement}{tier}"
    if missing.value is None or missing.target is None or missing.missing is None:
        return f"{missing.name}"
    return f"{missing.name}: {number(missing.value)} of {number(missing.target)}, {number(missing.missing)} missing"


def _counting_told(counting: Counting) -> str:
    topic = f" on {counting.topic}" if counting.topic else ""
    where = f", where {' and '.join(counting.where)}" if counting.where else ""
    return f"{counting.type}{topic}{where}"
