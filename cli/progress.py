"""`laurel progress`: how far a user is with everything."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.bars import LEGACY, bar, conditions_told, day, number
from cli.output import print_told
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, LanguageOption, User, read_standings
from progress.achievements import Progress
from progress.challenges import Challenge
from progress.levels import Level
from progress.overview import Overview, overview
from progress.standing import Standing
from progress.translations import category_title

MEMBERS_NAMED = 5


def command(
    user: User, catalog: CatalogOption = None, language: LanguageOption = None, as_json: JsonOption = False
) -> None:
    """Percentage, conditions, tier, level, streaks and estimated completion of everything a user can earn."""
    standings = read_standings(Settings(), user, catalog)
    told = [overview(each, language) for each in standings]
    if as_json:
        print_told({"user": user, "catalogs": told})
    else:
        console = Console(highlight=False)
        for standing, each in zip(standings, told, strict=True):
            print_overview(console, standing, each, language)


def print_overview(console: Console, standing: Standing, told: Overview, language: str | None) -> None:
    console.print(f"[bold]{escape(standing.person.user)}[/bold] in [bold]{told.catalog}[/bold], {told.zone}")
    if told.level:
        console.print(level_line(told.level))
    for streak in told.streaks:
        kept = f", until {streak.ends_on} it can be kept" if streak.ends_on else ""
        console.print(f"{streak.metric}: {streak.current} days now, {streak.longest} at best{kept}")
    for challenge in told.challenges:
        console.print(f"today: {escape(challenge.name)}, {challenge_state(challenge)}, {challenge.xp} XP")
    console.print(f"{sum(each.times > 0 for each in told.achievements)} of {len(told.achievements)} earned")
    console.print(_table(standing, told, language))


def challenge_state(challenge: Challenge) -> str:
    if challenge.claimed:
        return "claimed"
    reached = f"{number(challenge.value or 0)} of {number(challenge.target or 0)}"
    return f"{reached}, can be claimed" if challenge.completed else reached


def level_line(level: Level) -> str:
    rest = f", {number(level.to_next)} to level {level.level + 1}" if level.to_next is not None else ""
    return f"level {level.level}  {bar(level.percent)}  {number(level.total)} {level.metric}{rest}"


def _table(standing: Standing, told: Overview, language: str | None) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(5):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for category, listed in by_category(standing, told.achievements).items():
        if category:
            table.add_row("", f"[bold]{escape(category_title(standing.program, category, language))}[/bold]")
        for progress in listed:
            table.add_row(*_row(progress))
    return table


def by_category(standing: Standing, achievements: list[Progress]) -> dict[str, list[Progress]]:
    """In the order in which the catalog lists its categories; others behind them."""
    grouped: dict[str, list[Progress]] = {key: [] for key, _ in standing.program.categories}
    for progress in achievements:
        grouped.setdefault(progress.category, []).append(progress)
    return {category: listed for category, listed in grouped.items() if listed}


def _row(progress: Progress) -> tuple[str, ...]:
    done = progress.percent == 100
    return (
        progress.icon,
        escape(progress.name) + _tiers(progress) + (LEGACY if progress.is_legacy else ""),
        f"[green]{bar(100)}[/green]" if done else bar(progress.percent),
        f"{progress.percent:>3} %",
        day(progress.earned_at if done else progress.estimated_completion),
        "" if done else escape(detail(progress)),
    )


def _tiers(progress: Progress) -> str:
    """` (silver → gold)`: held, and next."""
    if not progress.tiers:
        return f" × {progress.times}" if progress.times > 1 else ""
    held, following = progress.tier or "–", progress.next_tier
    return escape(f" ({held} → {following})" if following else f" ({held})")


def detail(progress: Progress) -> str:
    season = progress.season
    if season and season.state != "open":
        return f"from {season.first} on" if season.state == "upcoming" else f"over since {season.until}"
    missing = [member.name for member in progress.members if not member.held]
    if missing:
        more = f" and {len(missing) - MEMBERS_NAMED} more" if len(missing) > MEMBERS_NAMED else ""
        return "missing: " + ", ".join(missing[:MEMBERS_NAMED]) + more
    return conditions_told(progress.conditions) or progress.description
