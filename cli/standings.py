"""Where somebody stands, for the commands that tell of it: read in one session, or said to be unknown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from psycopg import Connection

from cli.postgres import read_models
from cli.settings import Settings
from progress.queries import is_known, read_person, read_programs
from progress.standing import Standing
from schemas.catalog.findings import nearest
from schemas.errors import LaurelError, Precondition
from schemas.program import CatalogProgram

User = Annotated[str, typer.Argument(metavar="USER", help="The user id, as in the events' subject.")]
CatalogOption = Annotated[str | None, typer.Option("--catalog", help="One catalog only.")]
LanguageOption = Annotated[
    str | None, typer.Option("--language", help="Texts in this language, `fr` or `fr-CA`, where there are any.")
]
CountOption = Annotated[int, typer.Option("-n", "--count", min=1, help="At most so many of each catalog.")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


def read_standings(settings: Settings, user: str, catalog: str | None = None) -> list[Standing]:
    """In the catalog asked for, else in those that the user has an event of.

    Raises: LaurelError on an unknown user or catalog; Precondition where Postgres or the catalogs are missing.
    """
    standings = every_standing(settings, user, catalog)
    known = [each for each in standings if each.person.known_since or each.person.awards]
    return known if known and catalog is None else standings


def every_standing(settings: Settings, user: str, catalog: str | None = None) -> list[Standing]:
    """As `read_standings`, also in catalogs that the user has no event of."""
    now = datetime.now(UTC)
    with read_models(settings) as connection:
        programs = chosen_programs(connection, catalog)
        if not is_known(connection, user):
            raise unknown_user(user)
        return [Standing(each, read_person(connection, user, each.catalog), now) for each in programs]


def chosen_programs(connection: Connection, catalog: str | None) -> list[CatalogProgram]:
    """All catalogs, or the one that is named. Raises: LaurelError, Precondition."""
    programs = read_programs(connection)
    if not programs:
        raise Precondition(
            "the read models hold no catalog: publish one with `laurel catalog publish FILE`, "
            "and run `laurel projector`"
        )
    return programs if catalog is None else [_named(programs, catalog)]


def _named(programs: Sequence[CatalogProgram], catalog: str) -> CatalogProgram:
    by_name = {program.catalog: program for program in programs}
    if catalog not in by_name:
        raise LaurelError(f"no catalog '{catalog}' is published: {nearest(catalog, by_name)}")
    return by_name[catalog]


def unknown_user(user: str) -> LaurelError:
    shown = user.encode(errors="backslashreplace").decode()
    return LaurelError(
        f"user '{shown}' is not known: no event of theirs has reached the read models; is the projector behind?"
    )
