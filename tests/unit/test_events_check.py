"""`laurel events check`: a publisher learns before publishing what would become a dead letter, and why."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.events import LineVerdict, check, check_lines, compiled, read_lines
from schemas.errors import LaurelError
from schemas.program import Program
from schemas.topics import partition_of

NOW_MS = 1_750_000_000_000  # 2025-06-15
GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "1",
    "source": "/web",
    "type": "song_released",
    "subject": "ann",
    "time": "2025-06-01T12:00:00Z",
    "data": {"song_id": "s1", "from_status": "wip"},
}
OTHER = """
catalog: other
version: 1
events: {login: {topic: other.activity}, visit: {topic: other.activity}}
metrics: {visits: {count: visit}}
achievements: [{key: first_visit, name: First, description: Visit, when: visits >= 1}]
"""


def written(**changes: Any) -> bytes:
    """The good event with changes, as a line; what is set to `...` is left out."""
    event = {name: value for name, value in (GOOD | changes).items() if value is not ...}
    return json.dumps(event, ensure_ascii=False).encode() + b"\n"


@pytest.fixture(scope="module")
def trackflow() -> Program:
    return compiled(["trackflow"])


@pytest.fixture
def both(tmp_path: Path) -> Program:
    (tmp_path / "other.yaml").write_text(OTHER, encoding="utf-8")
    return compiled(["trackflow", str(tmp_path / "other.yaml")])


def verdict(line: bytes, program: Program) -> LineVerdict:
    (only,) = check_lines([line], program, NOW_MS)
    return only


def test_a_good_event_is_applied_and_ready_to_publish(trackflow: Program):
    found = verdict(written(subject="zoë"), trackflow)
    assert (found.number, found.fate, found.cause, found.message) == (1, "applied", None, "")
    assert (found.topic, found.key) == ("trackflow.activity", "zoë".encode())
    assert json.loads(found.value) == GOOD | {"subject": "zoë"}
    assert partition_of(found.key or b"", 8) in range(8)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (b'{"specversion": "1.0", "id"', "malformed_json"),
        (b"hello", "malformed_json"),
        (b"[1, 2]", "bad_envelope"),
        (b"null", "bad_envelope"),
        (b'\xff{"specversion": "1.0"}', "invalid_utf8"),
        (written(time=..., id="2"), "bad_envelope"),
        (written(specversion="0.3"), "bad_envelope"),
        (written(subject=""), "bad_envelope"),
        (written(subject=7), "bad_envelope"),
        (written(type=...), "bad_envelope"),
        (written(time="2025-06-01T12:00:00"), "bad_time"),
        (written(time="1969-12-31T23:59:59Z"), "bad_time"),
        (written(time="2025-06-17T15:07:00Z"), "bad_time"),
        (written(time="yesterday"), "bad_time"),
        (written(timezone="Mars/Olympus"), "bad_zone"),
        (written(schemaversion=2), "unknown_schemaversion"),
        (written(data={"song_id": "s1"}), "bad_data"),
        (written(data={"song_id": 1, "from_status": "wip"}), "bad_data"),
        (written(data={"song_id": "s1", "from_status": "wip", "year": 1e400}), "malformed_json"),
        (written(data={"song_id": "s1", "from_status": "wip", "year": 2**60}), "bad_data"),
        (b'{"data": ' + b"[" * 100_000, "malformed_json"),
        (written(title="x" * 300_000), "too_large"),
    ],
)
def test_a_dead_letter_is_named_with_its_cause(line: bytes, cause: str, trackflow: Program):
    found = verdict(line, trackflow)
    assert (found.fate, found.cause) == ("refused", cause)
    assert found.message


def test_two_days_ahead_is_near_enough(trackflow: Program):
    """Phones have wrong clocks; the processor takes 48 hours."""
    assert verdict(written(time="2025-06-17T15:06:00Z"), trackflow).fate == "applied"


def test_an_unknown_type_is_skipped_with_a_guess_at_what_was_meant(trackflow: Program):
    found = verdict(written(type="song_relased"), trackflow)
    assert (found.fate, found.topic) == ("skipped", None)
    assert "'song_relased'" in found.message
    assert "did you mean 'song_released'?" in found.message


def test_an_unknown_type_must_be_a_cloud_event_all_the_same(trackflow: Program):
    assert verdict(written(type="unheard_of", source=...), trackflow).cause == "bad_envelope"


def test_a_derived_type_is_nobody_s_to_publish(trackflow: Program):
    assert (
        verdict(written(type="added_as_collaborator", data={"song_id": "s", "by": "bob"}), trackflow).fate
        == "skipped"
    )


def test_a_type_on_two_topics_must_name_one(both: Program):
    login = {"type": "login", "data": {}}
    unsaid = verdict(written(**login), both)
    assert (unsaid.fate, unsaid.cause) == ("refused", "ambiguous_topic")
    assert "other.activity and trackflow.activity" in unsaid.message
    assert verdict(written(**login, topic="other.activity"), both).topic == "other.activity"
    assert verdict(written(**login, topic="nowhere"), both).fate == "skipped"
    assert verdict(written(**login, topic=5), both).fate == "skipped"
    assert verdict(written(type="visit", data={}), both).topic == "other.activity"


def test_blank_lines_are_no_events_and_still_count_as_lines(trackflow: Program):
    lines = [b"\n", written(), b"   \r\n", b"?\n"]
    assert [(each.number, each.fate) for each in check_lines(lines, trackflow, NOW_MS)] == [
        (2, "applied"),
        (4, "refused"),
    ]


# --- the command ---


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(written() + b"oops\n" + written(type="song_relased") + written(id="2"))
    return path


def test_every_line_that_is_not_applied_is_told_with_its_number(mixed: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit) as exit:
        check(str(mixed))
    assert exit.value.exit_code == 3
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("line 2: refused: malformed_json: ")
    assert told[1].startswith("line 3: skipped: no catalog declares type 'song_relased'")
    assert told[2:] == [f"{mixed}: 4 events: 2 applied, 1 skipped, 1 refused (1 malformed_json)"]


def test_applied_lines_are_told_when_asked(mixed: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit):
        check(str(mixed), every=True)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()[:4]] == [
        f"line {n}" for n in (1, 2, 3, 4)
    ]


def test_programs_get_one_object(mixed: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(typer.Exit):
        check(str(mixed), as_json=True)
    row = json.loads(capsys.readouterr().out)
    assert {name: row[name] for name in ("lines", "applied", "skipped", "refused", "causes")} == {
        "lines": 4,
        "applied": 2,
        "skipped": 1,
        "refused": 1,
        "causes": {"malformed_json": 1},
    }
    assert [each["line"] for each in row["told"]] == [2, 3]


def test_a_file_with_nothing_to_refuse_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "good.jsonl.gz").write_bytes(gzip.compress(written() + written(type="unheard_of")))
    check(str(tmp_path / "good.jsonl.gz"))
    assert "2 events: 1 applied, 1 skipped, 0 refused" in capsys.readouterr().out


def test_a_dash_reads_stdin(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written())))
    assert list(read_lines("-")) == [written()]


@pytest.mark.parametrize("name", ["missing.jsonl", "folder", "broken.gz", "cut.gz"])
def test_a_file_that_cannot_be_read_is_said_with_a_remedy(name: str, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.gz").write_bytes(b"not gzip")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(written() * 100)[:-20])
    with pytest.raises(LaurelError, match="give a file"):
        list(read_lines(str(tmp_path / name)))
