"""Every product has made-up users whose year could have been, and who earn all there is to earn.

Of TrackFlow's musicians `test_simulate.py` tells.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from bench.reference import fold
from cli.catalog_files import bundled_catalogs, catalog_file
from cli.simulate import command, line
from cli.simulation.products import PRODUCTS
from cli.simulation.year import simulate
from processor.evaluator.compile import compile_catalog
from schemas.catalog import all_events, read_catalog
from schemas.program import Ledger
from tests.unit.sample import CATALOGS

BUNDLED = sorted(set(PRODUCTS) & set(bundled_catalogs()))
COMMANDS = re.compile(
    r"^\./laurel simulate (?:--catalog (\w+) )?--users (\d+) --days (\d+) --seed (\d+) --out (\S+)$", re.MULTILINE
)
DIGESTS = {
    "platform": "51c608bb4a52c8460c5382c5fb3069b7007d74b96b627a90f60f9bc74d836c72",
    "learning": "440e7d4d8a1571d10348b1af7f4854e62446399305e46471cd0fb99e32eb4f29",
    "interview": "4132d8c04bb46f2905771bfa5478c445b00a7ec4bd7727a906b4ae688512d6da",
    "badges": "2f964610d35d00c985247cc43a97d773d23502c7448c3ddfeb7285e6da917495",
}

app = typer.Typer()
app.command()(command)

of_every_product = pytest.mark.parametrize("name", [name for name in BUNDLED if name != "trackflow"])


def events_of(name: str) -> list[dict[str, Any]]:
    packed = (CATALOGS / "samples" / f"{name}.jsonl.gz").read_bytes()
    return [json.loads(each) for each in gzip.decompress(packed).splitlines()]


@cache
def facts(name: str) -> list[dict[str, Any]]:
    """The events of a sample, each once, in the order in which they happened."""
    return sorted({event["id"]: event for event in events_of(name)}.values(), key=happened_at)


def happened_at(event: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(event["time"])


def data_of(name: str, kind: str) -> Iterator[dict[str, Any]]:
    return (event["data"] for event in facts(name) if event["type"] == kind)


# --- the same seed, the same bytes ---


def test_the_commands_of_the_samples_readme_write_the_samples():
    readme = (CATALOGS / "samples" / "README.md").read_text(encoding="utf-8")
    said = {
        catalog or "trackflow": (*map(int, numbers), out) for catalog, *numbers, out in COMMANDS.findall(readme)
    }

    assert sorted(said) == BUNDLED
    for name, (users, days, seed, out) in said.items():
        assert out == f"catalogs/samples/{name}.jsonl.gz"
        if name != "trackflow":  # which test_simulate.py holds byte for byte
            assert events_of(name) == list(simulate(users, days, seed, catalog=name))


@pytest.mark.parametrize("name", DIGESTS)
def test_a_file_is_the_same_on_every_machine(name: str):
    digest = hashlib.sha256(b"".join(line(event) for event in simulate(20, 60, 7, catalog=name))).hexdigest()
    assert digest == DIGESTS[name]


def test_an_unknown_product_is_refused_with_the_names_of_the_known_ones():
    ran = CliRunner().invoke(app, ["--catalog", "nothing"])

    assert ran.exit_code == 2
    assert all(name in ran.output for name in PRODUCTS)


def test_the_command_makes_up_the_users_of_the_product_it_is_asked_for(tmp_path: Path):
    file = tmp_path / "events.jsonl"
    ran = CliRunner().invoke(app, ["--catalog", "platform", "--users", "3", "--days", "20", "--out", str(file)])

    assert ran.exit_code == 0
    assert file.read_bytes() == b"".join(line(event) for event in simulate(3, 20, 1, catalog="platform"))


# --- a year that could have been ---


@of_every_product
def test_somebody_earns_every_achievement_in_every_tier(name: str):
    text = catalog_file(name).text
    program, _ = compile_catalog(read_catalog(text, name), Ledger())
    earned = {achievement for _, _, achievement, _ in fold(events_of(name), [text]).awards}

    assert earned == {each.reference for each in program.achievements}


@of_every_product
def test_every_type_of_the_catalog_occurs_except_the_one_that_erases(name: str):
    declared = {kind for kind, event in all_events(read_catalog(*catalog_file(name))).items() if event.topic}

    assert {event["type"] for event in facts(name)} == declared - {"user_deleted"}


@of_every_product
def test_people_register_before_they_do_anything(name: str):
    seen: set[str] = set()
    for event in facts(name):
        assert (event["type"] == "user_registered") == (event["subject"] not in seen)
        seen.add(event["subject"])


@of_every_product
def test_some_events_are_repeated_and_some_come_hours_late(name: str):
    ids = Counter(event["id"] for event in events_of(name))
    repeated = sum(times - 1 for times in ids.values())
    latest, late = datetime.fromisoformat("2025-01-01T00:00:00Z"), 0
    for event in events_of(name):
        late += happened_at(event) < latest - timedelta(hours=2)
        latest = max(latest, happened_at(event))

    assert 0.005 < repeated / len(ids) < 0.015
    assert 0.005 < late / len(ids) < 0.06


@of_every_product
def test_people_live_in_several_zones_and_some_of_them_travel(name: str):
    zones: dict[str, set[str]] = defaultdict(set)
    for event in facts(name):
        if "timezone" in event:
            zones[event["subject"]].add(event["timezone"])

    assert len(set().union(*zones.values())) >= 5
    assert any(len(of_user) > 1 for of_user in zones.values())
    assert any("timezone" not in event for event in facts(name))


@of_every_product
def test_some_come_nearly_every_day_and_some_drop_out(name: str):
    days: dict[str, set[Any]] = defaultdict(set)
    for event in facts(name):
        days[event["subject"]].add(happened_at(event).date())
    active = sorted(len(of_user) for of_user in days.values())

    assert active[-1] > 200
    assert active[0] < 40


# --- each in its own way ---


def test_a_deleted_project_says_whether_it_was_published():
    published: dict[str, bool] = {}
    deleted = 0
    for event in facts("platform"):
        project = event["data"].get("project_id", "")
        if event["type"] == "project_deleted":
            deleted += 1
            assert event["data"]["published"] == published[project]
        if event["type"] in ("project_created", "project_published", "project_unpublished"):
            published[project] = event["type"] == "project_published"

    assert deleted > 10


def test_some_publishers_call_a_login_by_its_other_name():
    kinds = Counter(event["type"] for event in facts("platform"))

    assert kinds["login"] > kinds["login_streak"] > 0


def test_a_course_ends_after_its_units_and_a_unit_after_its_modules():
    done: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    courses = 0
    for event in facts("learning"):
        kind, learner = event["type"].removesuffix("_completed"), event["subject"]
        if kind == "course":
            courses += 1
            of_course = done[learner, event["data"]["course_id"]]
            assert (of_course["module"], of_course["unit"]) == (9, 3)
        elif kind in ("module", "unit"):
            done[learner, event["data"][f"{kind}_id"].split("-")[0]][kind] += 1

    assert courses > 10


def test_some_assessments_are_taken_again_and_some_of_these_go_better():
    attempts: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in facts("learning"):
        if event["type"] == "assessment_scored":
            attempts[event["subject"], event["data"]["assessment_id"]].append(event["data"]["percent"])

    assert sum(len(scores) > 1 for scores in attempts.values()) > 50
    assert any(scores[0] < 90 <= scores[-1] for scores in attempts.values())
    assert any(isinstance(score, float) for scores in attempts.values() for score in scores)


def test_a_session_is_scored_by_its_answers_and_now_and_then_not_at_all():
    sessions = list(data_of("interview", "session_completed"))

    assert {"technical", "behavioural"} <= {session.get("kind") for session in sessions}
    assert all(0 <= session["score"] <= 100 for session in sessions if "score" in session)
    assert any("score" not in session for session in sessions)


def test_a_lesson_is_taken_again_now_and_then_and_some_give_feedback_to_themselves():
    lessons = Counter(
        (event["subject"], event["data"]["lesson_id"])
        for event in facts("badges")
        if event["type"] == "lesson_completed"
    )

    assert max(lessons.values()) > 1
    assert any(event["data"].get("to_id") == event["subject"] for event in facts("badges"))
