"""What the commands of one user say where there is little to say."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from cli.achievements import status_table
from cli.history import shown
from cli.main import said_plainly
from cli.standings import unknown_user
from progress.achievements import progress_of_all
from progress.queries import can_be_stored
from schemas.errors import Precondition
from tests.unit.standings import award, standing, tier


@pytest.mark.parametrize("months", [False, True])
def test_a_history_without_anything_says_so(months: bool):
    assert shown([], [], months) == "nothing has happened yet"


def test_an_achievement_with_tiers_is_unlocked_with_the_tier_that_is_held():
    tiers = [
        tier("solver", "bronze", 0, {"solved": ("released", 1)}),
        tier("solver", "silver", 1, {"solved": ("released", 5)}),
    ]
    ada = standing(*tiers, awards=[award("solver", tier="bronze")], metrics={"released": 2})
    page = Console(file=StringIO(), width=120)

    page.print(status_table(progress_of_all(ada)))

    assert "unlocked bronze 2026-06-01" in page.file.getvalue()


@pytest.mark.parametrize("user", ["a\0b", b"\xff".decode("utf-8", "surrogateescape")])
def test_a_user_id_that_no_database_holds_is_nobody(user: str):
    assert not can_be_stored(user)
    assert str(unknown_user(user)).encode()
    assert can_be_stored("Zoë 🎵")


@pytest.mark.parametrize("named", ["/no/such/page.html", "--out=/no/such/page.html"])
def test_a_file_that_cannot_be_written_is_something_to_be_done_first(named: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["laurel", "catalog", "docs", "trackflow", named])

    for missing in ("/no/such/page.html", "/no/such/page.html.part"):
        said = said_plainly(FileNotFoundError(2, "No such file or directory", missing))

        assert isinstance(said, Precondition)
        assert str(said) == (
            "'/no/such/page.html' cannot be read or written: No such file or directory; name another file"
        )


def test_a_file_that_nobody_named_is_our_own_bug(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["laurel", "catalog", "docs", "trackflow"])

    assert said_plainly(FileNotFoundError(2, "No such file or directory", "/srv/page.css")) is None
