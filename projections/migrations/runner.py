"""Brings a namespace's Postgres schema up to date: numbered files, each applied once, in one transaction.

Raises Precondition on a file that was edited after it was applied, and on a schema newer than the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from typing import Literal, NamedTuple

from psycopg import Connection, errors, sql

from schemas.errors import Precondition

LOCK_WAIT = "120s"

CREATE_LEDGER = b"""
create table if not exists schema_migration (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""


class Migration(NamedTuple):
    """A numbered file; names sort in the order of application."""

    name: str
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


class Standing(NamedTuple):
    """What is known of a migration; `unknown` is one that a newer version of Laurel applied."""

    name: str
    state: Literal["applied", "pending", "edited", "unknown"]
    applied_at: datetime | None


def migration_files() -> list[Migration]:
    folder = resources.files("projections.migrations")
    files = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(Migration(file.name, file.read_bytes()) for file in files)


def read_standings(connection: Connection, schema: str, files: list[Migration]) -> list[Standing]:
    """Every migration that is on file or applied, in order."""
    applied = read_applied(connection, schema)
    known = {file.name: file for file in files}
    return [standing(name, known.get(name), applied.get(name)) for name in sorted({*known, *applied})]


def standing(name: str, file: Migration | None, applied: tuple[str, datetime] | None) -> Standing:
    if applied is None:
        return Standing(name, "pending", None)
    sha256, applied_at = applied
    if file is None:
        return Standing(name, "unknown", applied_at)
    return Standing(name, "applied" if file.sha256 == sha256 else "edited", applied_at)


def read_applied(connection: Connection, schema: str) -> dict[str, tuple[str, datetime]]:
    """Name -> (sha256, applied at); nothing where the schema does not exist yet."""
    ledger = sql.Identifier(schema, "schema_migration")
    try:
        rows = connection.execute(sql.SQL("select name, sha256, applied_at from {}").format(ledger)).fetchall()
    except errors.UndefinedTable:
        return {}
    return {name: (sha256, applied_at) for name, sha256, applied_at in rows}


def check_current(connection: Connection, schema: str) -> None:
    """Raises: Precondition when a migration is pending or was edited. A newer schema serves an older reader."""
    standings = read_standings(connection, schema, migration_files())
    refuse(schema, [one for one in standings if one.state == "edited"])
    if pending := [one.name for one in standings if one.state == "pending"]:
        raise Precondition(f"Postgres schema '{schema}' lacks {', '.join(pending)}: run `laurel db upgrade`")


def upgrade(connection: Connection, schema: str, files: list[Migration], *, dry_run: bool = False) -> list[str]:
    """Apply what is pending, one upgrader at a time. Returns the names of what was, or would be, applied."""
    with upgrade_lock(connection, schema):
        standings = read_standings(connection, schema, files)
        refuse(schema, [one for one in standings if one.state in ("edited", "unknown")])
        pending = {one.name for one in standings if one.state == "pending"}
        if not dry_run:
            create_schema(connection, schema)
            for file in files:
                if file.name in pending:
                    apply(connection, file)
        return sorted(pending)


@contextmanager
def upgrade_lock(connection: Connection, schema: str) -> Iterator[None]:
    """Hold the schema's advisory lock. Raises: Precondition when another upgrader keeps it."""
    # a killed upgrader would hold the lock until its running statement ends; the server now looks for its client
    connection.execute("set client_connection_check_interval = 500")
    connection.execute(sql.SQL("set lock_timeout = {}").format(LOCK_WAIT))
    connection.execute("set statement_timeout = 0")
    try:
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [f"laurel/{schema}"])
    except errors.LockNotAvailable:
        raise Precondition(
            f"another upgrade of schema '{schema}' runs for more than {LOCK_WAIT}: wait for it, then try again"
        ) from None
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [f"laurel/{schema}"])


def create_schema(connection: Connection, schema: str) -> None:
    # asked first, so that a role which may not create schemas can upgrade one that exists
    exists = connection.execute("select 1 from pg_namespace where nspname = %s", [schema]).fetchone()
    if exists is None:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    connection.execute("select set_config('search_path', %s, false)", [schema])
    connection.execute(CREATE_LEDGER)


def apply(connection: Connection, file: Migration) -> None:
    with connection.transaction():
        connection.execute(file.content)
        connection.execute("insert into schema_migration (name, sha256) values (%s, %s)", [file.name, file.sha256])


def refuse(schema: str, wrong: list[Standing]) -> None:
    """Raises: Precondition that says why the first of them cannot be built upon."""
    if not wrong:
        return
    name, state, applied_at = wrong[0]
    if state == "edited":
        raise Precondition(
            f"{name} was edited after schema '{schema}' took it on {applied_at}: restore the file, "
            "and write the change as a new migration"
        )
    raise Precondition(
        f"schema '{schema}' has {name}, which this version does not know: run the version that applied it"
    )
