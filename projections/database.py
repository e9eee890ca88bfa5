"""Sessions on the namespace's Postgres schema."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, Connection

from projections.settings import DatabaseSettings

CONNECT_SECONDS_MAX = 10

# A frozen process must not hold the locks of its open transaction against the one that took over.
SESSION = {
    "idle_in_transaction_session_timeout": "30s",
    "lock_timeout": "15s",
    "statement_timeout": "60s",
    "timezone": "UTC",
    "jit": "off",
}
SET_SESSION = b"select set_config(key, value, false) from unnest(%s::text[], %s::text[]) as setting (key, value)"


def connect(settings: DatabaseSettings) -> Connection:
    """A session that commits each statement, unless in `connection.transaction()`."""
    connection = Connection.connect(settings.postgres.get_secret_value(), **connect_options("laurel"))
    connection.execute(SET_SESSION, session_settings(settings))
    return connection


async def connect_async(settings: DatabaseSettings, name: str) -> AsyncConnection:
    """As `connect`; the name is the one that pg_stat_activity shows."""
    connection = await AsyncConnection.connect(settings.postgres.get_secret_value(), **connect_options(name))
    await connection.execute(SET_SESSION, session_settings(settings))
    return connection


def connect_options(name: str) -> dict[str, Any]:
    return {
        "autocommit": True,
        "application_name": name,
        "connect_timeout": CONNECT_SECONDS_MAX,
        "keepalives_idle": 10,
        "tcp_user_timeout": 30_000,
    }


def session_settings(settings: DatabaseSettings) -> tuple[list[str], list[str]]:
    wanted = {"search_path": settings.names.postgres_schema, **SESSION}
    return list(wanted), list(wanted.values())
