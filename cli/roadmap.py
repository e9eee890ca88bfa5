"""`laurel roadmap`: the way to everything that is not earned yet."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import suggest
from cli.output import print_told
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, LanguageOption, User, read_standings
from progress.roadmap import Step, roadmap


def command(
    user: User, catalog: CatalogOption = None, language: LanguageOption = None, as_json: JsonOption = False
) -> None:
    """All that is still to be earned, the closest first, nothing before what it requires, with estimated dates."""
    told = {each.program.catalog: roadmap(each, language) for each in read_standings(Settings(), user, catalog)}
    if as_json:
        print_told({"user": user, "roadmap": told})
        return
    console = Console(highlight=False)
    for name, steps in told.items():
        console.print(f"[bold]{name}[/bold]: {len(steps)} to go")
        console.print(table(steps))


def table(steps: list[Step]) -> Table:
    listed = Table(box=None, show_header=False, pad_edge=False)
    for step in steps:
        after = f"after {', '.join(step.after)}" if step.after else ""
        listed.add_row(f"{step.place:>3}", *suggest.row(step.achievement), escape(after))
    return listed
