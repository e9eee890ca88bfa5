"""Before a replay and beside it: what one would come to, and what is shown against the log folded anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.acceptance.scene import MONDAY, Scene, Step, some, topic_of

pytestmark = pytest.mark.server

CATALOG = "retro"
HOUR = timedelta(hours=1)

CATALOGS = {
    CATALOG: """
catalog: retro
version: 1
events:
  song_released: {topic: retro.activity, data: {artist: string?}}
metrics:
  released: {count: song_released}
achievements:
  - {key: first_release, name: First Release, points: 10, when: released >= 1}
  - {key: tenth_release, name: Tenth Release, points: 10, when: released >= 10}
"""
}
STORIES = {
    CATALOG: {
        "R/wrong": some(2, "song_released"),
        "R/five": [Step("song_released", {"artist": f"a{n}"}, MONDAY + n * HOUR) for n in range(5)],
        "R/four": some(4, "song_released"),
    }
}


SECOND = (
    CATALOGS[CATALOG]
    .replace("version: 1", "version: 2")
    .replace(
        "achievements:",
        """  artists: {distinct: song_released, by: data.artist}
achievements:
  - {key: third_release, name: Third Release, points: 20, when: released >= 3}
  - {key: varied, name: Varied, points: 30, when: {all: [released >= 4, artists >= 3]}}""",
    )
)


# --- plan ---


def test_a_plan_says_who_would_gain_what_and_changes_nothing(scene, laurel, tmp_path):
    file = catalog_file(scene, tmp_path, SECOND)

    said = laurel("replay", "plan", "--catalog", f"{file}", "--json")

    assert said.code == 0, said.err
    told = said.json
    assert (told["kind"], told["filling"]) == ("fold_and_merge", [[CATALOG, "artists"]])
    assert {each["achievement"]: (each["users"], each["points"]) for each in told["gains"]} == {
        "third_release": (2, 40),
        "varied": (1, 30),
    }
    assert (told["users"], told["awards"], told["points"]) == (2, 3, 70)
    assert told["notices"] == {"none": 0, "digest": 2, "all": 3}
    assert told["points_now"] == 30
    assert told["truncated"] == []
    assert laurel("replay", "plan", "--catalog", f"{file}", "--json").json["plan"] == told["plan"]
    assert scene.row("select count(*) as rows from replay where catalog = 'retro'")["rows"] == 0


def test_a_plan_of_some_people_counts_only_them(scene, laurel, tmp_path):
    file, five = catalog_file(scene, tmp_path, SECOND), named(tmp_path, "R/five")

    told = laurel("replay", "plan", "--catalog", f"{file}", "--users", f"{five}", "--json").json

    assert {each["achievement"]: each["users"] for each in told["gains"]} == {"third_release": 1, "varied": 1}


def test_a_plan_in_words_says_what_changes_how_and_what_it_comes_to(scene, laurel, tmp_path):
    told = laurel("replay", "plan", "--catalog", f"{catalog_file(scene, tmp_path, SECOND)}").out.splitlines()

    assert told[0] == "catalog 'retro', version 1 → 2"
    assert "  third_release: Third Release: song released 3 times" in told
    assert "2 users gain retro/third_release (Third Release)" in told
    assert "2 users gain something, 3 awards in all; notices: 0 with none, 2 with digest, 3 with all" in told
    assert "70 points more in 'retro', where users have 30 (+233.3%)" in told


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (CATALOGS[CATALOG], 0, "nothing to replay"),
        (SECOND.replace("version: 2", "version: 1"), 1, "write `version: 2`"),
        (SECOND.replace("distinct: song_released", "distinct: song_relased"), 1, "did you mean"),
        (SECOND.replace("artist: string?", "artist: string"), 0, "full reprocessing: everything is folded anew"),
    ],
    ids=["the one that runs", "other content under its version", "malformed", "stricter events"],
)
def test_a_plan_of_what_cannot_be_replayed_says_why(scene, laurel, tmp_path, text, code, said):
    file = catalog_file(scene, tmp_path, text)

    told = laurel("replay", "plan", "--catalog", f"{file}")

    assert (told.code, said in told.out + told.err) == (code, True), told


def catalog_file(scene: Scene, folder: Path, text: str) -> Path:
    file = folder / "retro.yaml"
    file.write_text(text.replace("retro.activity", topic_of(scene.settings.namespace, CATALOG)))
    return file


# --- verify ---


def test_what_is_shown_of_everybody_is_what_the_log_comes_to(scene, laurel):
    told = laurel("verify", "--sample", "5000", "--json")

    assert told.code == 0, told.err
    assert told.json["users"] == scene.row("select count(*) as users from user_progress")["users"]
    held = scene.row("select count(*) as awards from user_award")["awards"]
    assert (told.json["awards"], told.json["differences"]) == (held, [])


def test_the_same_seed_means_the_same_users(laurel):
    records = [laurel("verify", "--sample", "5", "--seed", seed, "--json").json["records"] for seed in "77"]

    assert records[0] == records[1]


def test_what_the_log_does_not_give_is_found_and_told(scene, laurel, tmp_path):
    with spoilt(scene, "R/wrong"):
        said = laurel("verify", "--users", f"{named(tmp_path, 'R/wrong')}", "--catalog", CATALOG)

    assert said.code == 5
    first, *lines = said.out.splitlines()
    assert first == "1 users, 2 records of theirs: 2 awards and 1 metrics compared, 3 differ"
    at = "2025-03-03T10:00:00.000000Z"
    assert lines == [
        f"R/wrong: award retro/first_release is not shown, and was earned {at}",
        f"R/wrong: award retro/tenth_release is shown, earned {at}, and the log does not give it",
        "R/wrong: metric retro/released is shown as 7, and is 2 by the log",
    ]


def test_who_has_no_event_is_equal_and_a_catalog_that_does_not_run_is_refused(laurel, tmp_path):
    nobody = named(tmp_path, "R/nobody")

    assert laurel("verify", "--users", f"{nobody}").code == 0
    refused = laurel("verify", "--users", f"{nobody}", "--catalog", "nothing")
    assert refused.code == 4
    assert "catalog 'nothing' does not run" in refused.err


def named(folder: Path, *users: str) -> Path:
    file = folder / "users.txt"
    file.write_text("\n".join(users) + "\n")
    return file


@contextmanager
def spoilt(scene: Scene, user: str) -> Iterator[None]:
    """As if somebody wrote into the read models."""
    was = scene.rows("select * from user_progress where user_id = %(user)s", user=user)[0]["metrics"]
    write(scene, user, "tenth_release", was | {CATALOG: {"released": 7}})
    try:
        yield
    finally:
        write(scene, user, "first_release", was)


def write(scene: Scene, user: str, achievement: str, metrics: dict[str, Any]) -> None:
    execute = scene.connection.execute
    execute("update user_achievement set achievement = %s where user_id = %s", [achievement, user])
    execute("update user_progress set metrics = %s where user_id = %s", [Jsonb(metrics), user])


# --- by the names of a Django project ---


def test_who_holds_what_was_earned_gains_nothing_by_looking_again(laurel):
    said = laurel("award_retroactive_achievements", "--catalog", CATALOG, "--dry-run", "--json")

    assert (said.code, said.json["kind"]) == (0, "sweep")
    assert {each["achievement"]: each["users"] for each in said.json["gains"]} == {
        "first_release": 0,
        "tenth_release": 0,
    }


def test_one_user_is_folded_anew(laurel):
    said = laurel("recalculate_achievements", "--user=R/four", "--catalog", CATALOG)

    assert said.code == 0
    assert said.out == "1 users, 4 records of theirs: 1 awards and 1 metrics compared, all equal\n"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["award_retroactive_achievements", "--catalog", "retros"], 4, "did you mean `retro`"),
        (["award_retroactive_achievements", "--achievement", "gold"], 1, "no catalog that runs has gold"),
        (["recalculate_achievements", "--user=R/nobody"], 1, "user 'R/nobody' is not known"),
    ],
    ids=["catalog", "achievement", "user"],
)
def test_what_is_not_there_is_said(laurel, arguments, code, told):
    said = laurel(*arguments)

    assert (said.code, told in said.err) == (code, True), said.err
