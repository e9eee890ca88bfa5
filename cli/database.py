"""`laurel db`: the read models' schema in Postgres."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.output import print_json
from cli.settings import Settings
from projections.database import connect
from projections.migrations import runner
from projections.migrations.runner import Standing
from schemas.errors import Precondition

app = typer.Typer(no_args_is_help=True, help="Upgrade the read models' schema, and show its state.")

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be applied, change nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Apply the migrations that are missing; several upgraders at once are harmless."""
    database = Settings().database
    schema = database.names.postgres_schema
    with connect(database) as connection:
        names = runner.upgrade(connection, schema, runner.migration_files(), dry_run=dry_run)
    if as_json:
        print_json({"schema": schema, "dry_run": dry_run, "applied" if not dry_run else "pending": names})
        return
    for name in names:
        print(f"{'would apply' if dry_run else 'applied'}  {name}")
    if not names:
        print(f"schema '{schema}' is up to date")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show every migration; exit code 4 unless all of them are applied as they are on file."""
    database = Settings().database
    schema = database.names.postgres_schema
    with connect(database) as connection:
        standings = runner.read_standings(connection, schema, runner.migration_files())
    show(schema, standings, as_json)
    if any(one.state != "applied" for one in standings):
        raise typer.Exit(Precondition.exit_code)


def show(schema: str, standings: list[Standing], as_json: bool) -> None:
    if as_json:
        print_json({"schema": schema, "migrations": [one._asdict() for one in standings]})
        return
    for one in standings:
        print(f"{one.state:8}  {one.name}  {one.applied_at or ''}".rstrip())
