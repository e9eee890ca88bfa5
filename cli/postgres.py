"""A session on the read models, with its usual failures said as what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import Connection, OperationalError, errors
from psycopg.conninfo import conninfo_to_dict

from cli.settings import Settings
from projections.database import connect
from projections.settings import DatabaseSettings
from schemas.errors import Precondition


@contextmanager
def read_models(settings: Settings) -> Iterator[Connection]:
    """Raises: Precondition when no server answers, or its schema was never made."""
    database = settings.database
    connection = _connect(database)
    try:
        with connection:
            yield connection
    except errors.UndefinedTable:
        raise Precondition(
            f"Postgres has no read models of namespace '{settings.namespace}': make them with `laurel db upgrade`"
        ) from None


def _connect(database: DatabaseSettings) -> Connection:
    try:
        return connect(database)
    except OperationalError as error:
        told = conninfo_to_dict(database.postgres.get_secret_value())
        where = f"{told.get('host', 'its default host')}, port {told.get('port', 5432)}"
        raise Precondition(
            f"Postgres at {where} refuses a session ({str(error).strip().splitlines()[0]}): "
            "start one with `laurel dev`, or set LAUREL_POSTGRES to one that runs"
        ) from None
