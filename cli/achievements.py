"""The commands of achievements by the names that a Django project knows them by."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli import catalogs
from cli.bars import bar, conditions_told, day
from cli.explain import explanation, print_explanation
from cli.output import print_told
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, every_standing, read_standings
from progress.achievements import Progress, progress_of_all
from progress.standing import Standing

DEFAULT_CATALOG = "platform"

UserOption = Annotated[str, typer.Option("--user", help="The user id, as in the events' subject.")]
Files = Annotated[
    list[str] | None, typer.Argument(metavar="FILE…", help="Paths, or names of catalogs that come with Laurel.")
]


def load_achievements(files: Files = None, as_json: JsonOption = False) -> None:
    """Publish catalogs, `platform` unless others are named: as `laurel catalog publish`."""
    catalogs.publish(files or [DEFAULT_CATALOG], as_json=as_json)


def check_achievements(user: UserOption, catalog: CatalogOption = None, as_json: JsonOption = False) -> None:
    """What a user has unlocked, and how far the rest is."""
    told = {each.program.catalog: progress_of_all(each) for each in read_standings(Settings(), user, catalog)}
    if as_json:
        print_told({"user": user, "achievements": told})
        return
    console = Console(highlight=False)
    for name, achievements in told.items():
        console.print(f"[bold]{escape(user)}[/bold] in [bold]{name}[/bold]")
        console.print(status_table(achievements))


def status_table(achievements: list[Progress]) -> Table:
    listed = Table(box=None, show_header=False, pad_edge=False)
    for each in achievements:
        state = " ".join(filter(None, ("unlocked", each.tier, day(each.earned_at)))) if each.earned else "locked"
        told = "" if each.percent == 100 else conditions_told(each.conditions)
        listed.add_row(each.key, state, bar(each.percent), f"{each.percent:>3} %", escape(told))
    return listed


def debug_achievements(
    user: UserOption,
    achievement: Annotated[str, typer.Option("--achievement", help="The achievement's key, a secret one too.")],
    catalog: CatalogOption = None,
    as_json: JsonOption = False,
) -> None:
    """All that decides one achievement of one user: definition, metrics, evidence, what is missing."""
    told = explanation(Settings(), user, achievement, catalog, operator=True)
    (standing,) = every_standing(Settings(), user, told.catalog)
    if as_json:
        print_told({"explanation": told, **behind(standing, achievement)})
        return
    console = Console(highlight=False)
    print_explanation(console, told)
    for name, value in behind(standing, achievement).items():
        console.print(f"\n[bold]{name}[/bold]")
        console.print_json(msgspec.json.encode(value).decode())


def behind(standing: Standing, key: str) -> dict[str, Any]:
    """The rows and rules that an explanation is made of."""
    person, program = standing.person, standing.program
    return {
        "catalog": {"catalog": program.catalog, "version": program.version, "sha256": program.sha256},
        "definition": [entry for entry in program.achievements if entry.key == key],
        "zone": standing.zone,
        "metrics": person.metrics,
        "streaks": person.streaks,
        "pace": person.paces,
        "updated_at": person.updated_at,
    }
