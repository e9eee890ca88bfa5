"""What Postgres shows against what the reference says: awards with their dates, points, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from psycopg import Connection

from bench.reference import Result
from cli.awards import read_awards

TOLD_MAX = 20

POINTS = b"select user_id, catalog, points from user_profile where points <> 0"
METRICS = b"select user_id, metrics from user_progress"


def compare(connection: Connection, reference: Result) -> list[str]:
    """Differences, one line each and at most TOLD_MAX of a kind; none when Postgres equals the reference."""
    return [
        line
        for differences in (
            _of_awards(connection, reference),
            _of_mapping("points", _points(connection), _reference_points(reference)),
            _of_mapping("metrics", _moved(_metrics(connection)), _moved(reference.metrics)),
        )
        for line in islice(differences, TOLD_MAX)
    ]


def _of_awards(connection: Connection, reference: Result) -> Iterator[str]:
    """An award that hangs on derived events is compared without its date: these arrive in any order."""
    missing = dict(reference.awards)
    for user, catalog, achievement, scope, earned_at in read_awards(connection):
        award = (user, catalog, achievement, scope)
        expected = missing.pop(award, None)
        if expected is None:
            yield f"award {award} is not in the reference, or there twice"
        elif expected != earned_at and award not in reference.undated:
            yield f"award {award} is of {earned_at}, in the reference of {expected}"
    for award in missing:
        yield f"award {award} of the reference is missing"


def _of_mapping(what: str, shown: Mapping[Any, Any], expected: Mapping[Any, Any]) -> Iterator[str]:
    for key in sorted(shown.keys() | expected.keys()):
        if shown.get(key) != expected.get(key):
            yield f"{what} of {key} are {shown.get(key)}, in the reference {expected.get(key)}"


def _points(connection: Connection) -> dict[tuple[str, str], int]:
    return {(user, catalog): points for user, catalog, points in connection.execute(POINTS)}


def _reference_points(reference: Result) -> dict[tuple[str, str], int]:
    return {
        (user, catalog): points
        for user, of_catalog in reference.points.items()
        for catalog, points in of_catalog.items()
        if points
    }


def _metrics(connection: Connection) -> dict[str, Any]:
    return dict(iter(connection.execute(METRICS)))


def _moved(metrics: Mapping[str, Mapping[str, Mapping[str, int | None]]]) -> dict[str, Any]:
    """Without what nothing has moved: who had no event since a metric came is not shown it as 0."""
    return {
        user: {catalog: {key: value for key, value in of.items() if value} for catalog, of in catalogs.items()}
        for user, catalogs in metrics.items()
    }
