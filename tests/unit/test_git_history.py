"""Any git repository as events, the odd ones included."""

from __future__ import annotations

import hashlib
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import catalogs
from cli.git_history import Skipped, end, events_of, output_of
from schemas.catalog import read_catalog
from schemas.errors import LaurelError
from schemas.zones import find_zone

ANN = "Ann <Ann@Example.org>"


class Repository:
    """A repository written through fast-import and hash-object: any date, no working tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("init", "--quiet", "--bare", str(path), within=False)

    def git(self, *words: str, said: bytes = b"", within: bool = True) -> str:
        place = ["-C", str(self.path)] if within else []
        quiet = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        done = subprocess.run(["git", *place, *words], input=said, capture_output=True, check=True, env=quiet)
        return done.stdout.decode().strip()

    def add(self, *commits: bytes) -> None:
        self.git("fast-import", "--quiet", "--date-format=raw-permissive", said=b"".join(commits))

    def commit_anyhow(self, author_date: str) -> str:
        """A commit whose author date no porcelain would write, on top of the branch."""
        tree, parent = self.git("rev-parse", "main^{tree}"), self.git("rev-parse", "main")
        text = (
            f"tree {tree}\nparent {parent}\nauthor {ANN} {author_date}\ncommitter {ANN} 1700000000 +0000\n\nodd\n"
        )
        sha = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", said=text.encode())
        self.git("update-ref", "refs/heads/main", sha)
        return sha

    def events(self, skipped: Skipped | None = None) -> list[dict[str, Any]]:
        return list(events_of(self.path, skipped))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    repository = Repository(tmp_path / "repository")
    repository.git("symbolic-ref", "HEAD", "refs/heads/main")
    return repository


def commit(date: str, *changes: bytes, author: str = ANN, merge: str = "") -> bytes:
    """A commit on main, as fast-import reads it; the committer's clock is another one."""
    lines = [
        "commit refs/heads/main",
        f"author {author} {date}",
        "committer Bot <bot@x> 1700000000 +0000",
        "data 0",
    ]
    joined = "\n".join(lines).encode() + b"\n"
    return joined + (f"merge {merge}\n".encode() if merge else b"") + b"".join(changes) + b"\n"


def file(path: str, content: bytes) -> bytes:
    return b"M 100644 inline %b\ndata %d\n%b\n" % (path.encode(), len(content), content)


def test_a_commit_keeps_its_author_s_time_and_clock(repository: Repository):
    """23:30 on a Friday in Karachi is 18:30 in UTC; hour, weekday and day are the author's."""
    repository.add(commit("1740767400 +0500", file("a.py", b"1\n2\n3\n")))
    (event,) = repository.events()
    assert event["type"] == "commit"
    assert event["time"] == "2025-02-28T18:30:00Z"
    assert event["timezone"] == "Etc/GMT-5"
    assert (event["data"]["hour"], event["data"]["weekday"]) == (23, 5)


def test_an_author_is_a_hash_of_the_address_however_it_is_written(repository: Repository):
    repository.add(commit("1000000000 +0000"), commit("1000000001 +0000", author="A <ANN@EXAMPLE.ORG>"))
    hashed = hashlib.sha256(b"ann@example.org").hexdigest()[:16]
    assert [event["subject"] for event in repository.events()] == [hashed, hashed]
    assert "xample" not in str(repository.events())


def test_lines_and_files_are_counted_and_a_binary_file_has_no_lines(repository: Repository):
    repository.add(
        commit("1000000000 +0000", file("a.py", b"1\n2\n"), file("docs/Übersicht\t1.MD", b"x\n")),
        commit("1000000001 +0000", file("a.py", b"1\n3\n4\n"), file("logo.png", b"\0\1\2"), file(".profile", b"")),
    )
    first, second = (event["data"] for event in repository.events())
    assert (first["files"], first["insertions"], first["deletions"]) == (2, 3, 0)
    assert (second["files"], second["insertions"], second["deletions"]) == (3, 2, 1)
    assert (first["extensions"], second["extensions"]) == (["md", "py"], ["png", "py"])


def test_history_comes_oldest_first_and_a_merge_is_one(repository: Repository):
    repository.add(commit("1000000000 +0000", file("a", b"1\n")))
    side = repository.git("rev-parse", "main")
    repository.add(
        commit("1000000100 +0000", file("b", b"1\n")).replace(b"data 0\n", f"data 0\nfrom {side}\n".encode()),
        commit("1000000200 +0000", merge=side),
    )
    events = repository.events()
    assert [event["time"][-9:] for event in events] == ["01:46:40Z", "01:48:20Z", "01:50:00Z"]
    assert [event["data"]["is_merge"] for event in events] == [False, False, True]
    assert events[0]["id"] == events[0]["data"]["sha"] == side


def test_a_tag_follows_its_commit_and_an_annotated_one_has_its_own_author_and_time(repository: Repository):
    repository.add(commit("1000000000 +0000"), commit("1000000500 +0000"))
    repository.git("tag", "plain", "main~1")
    repository.add(b"tag v1.0\nfrom refs/heads/main\ntagger Bob <bob@x> 1000009999 +0200\ndata 0\n")
    events = repository.events()
    assert [event["id"] for event in events][1::2] == ["tag:plain", "tag:v1.0"]
    plain, annotated = events[1], events[3]
    assert (plain["subject"], plain["time"]) == (events[0]["subject"], events[0]["time"])
    assert annotated["subject"] == hashlib.sha256(b"bob@x").hexdigest()[:16]
    assert (annotated["time"], annotated["data"]) == ("2001-09-09T04:33:19Z", {"name": "v1.0"})


def test_a_release_that_lies_on_no_branch_is_history_too(repository: Repository):
    repository.add(commit("1000000000 +0000"), commit("1000000500 +0000"))
    repository.git("tag", "v1")
    repository.git("update-ref", "refs/heads/main", "main~1")
    assert [event["type"] for event in repository.events()] == ["commit", "commit", "tagged"]


def test_a_tag_on_a_file_is_no_event(repository: Repository):
    repository.add(commit("1000000000 +0000", file("key", b"x\n")))
    repository.git("tag", "key", "main:key")
    assert [event["type"] for event in repository.events()] == ["commit"]


def test_dates_that_cannot_be_are_skipped_and_counted(repository: Repository):
    repository.add(commit("1000000000 +0000"))
    for date in ("-86400 +0000", "99999999999 +0000", "1000000000 +5140"):
        repository.commit_anyhow(date)
    last = repository.commit_anyhow("1000000777 -0330")
    skipped = Skipped()
    events = repository.events(skipped)
    assert [event["id"] for event in events][1:] == [last]
    assert skipped.before_1970 + skipped.broken_date == 3
    assert "timezone" not in events[1]


def test_every_offset_that_has_a_zone_gives_the_author_s_own_day(repository: Repository):
    offsets = ["+0000", "-0800", "+1400", "-1200", "+0530", "+0545", "+0930"]
    repository.add(*(commit(f"1740767400 {offset}") for offset in offsets))
    for event in repository.events():
        local = datetime.fromisoformat(event["time"]).astimezone(find_zone(event["timezone"]))
        assert (local.hour, local.isoweekday()) == (event["data"]["hour"], event["data"]["weekday"])


def test_thousands_of_commits_are_read_as_they_come(repository: Repository):
    """Stopping early ends git: nothing waits for the rest of a long history."""
    repository.add(*(commit(f"{1_000_000_000 + n} +0000", file("a", b"%d\n" % n)) for n in range(3000)))
    assert len(repository.events()) == 3000
    history = events_of(repository.path)
    first = next(history)
    history.close()  # type: ignore[attr-defined]
    assert first["time"] == "2001-09-09T01:46:40Z"


def test_git_is_ended_when_nobody_reads_on(tmp_path: Path):
    endless = subprocess.Popen(["yes"], stdout=subprocess.PIPE)
    end(endless)
    assert endless.returncode is not None


def test_a_user_s_own_git_settings_change_nothing(repository: Repository, monkeypatch: pytest.MonkeyPatch):
    repository.add(commit("1000000000 +0000", file("a.py", b"1\n")))
    plain = repository.events()
    settings = ["color.ui=always", "log.showSignature=true", "diff.external=false", "core.quotePath=true"]
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    for number, setting in enumerate(settings):
        name, _, value = setting.partition("=")
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    assert repository.events() == plain


@pytest.mark.parametrize("place", ["nowhere", "folder", "empty"])
def test_what_has_no_history_is_refused_with_a_remedy(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "folder").mkdir()
    Repository(tmp_path / "empty")
    with pytest.raises(LaurelError, match=r"give (the path of a git repository|a repository with a commit)"):
        events_of(tmp_path / place)


def test_a_history_that_breaks_off_is_an_error_not_an_end(repository: Repository):
    with pytest.raises(LaurelError, match="no-such-verb"):
        list(output_of(str(repository.path), ["no-such-verb"]))


def test_the_bundled_catalog_takes_these_events(repository: Repository):
    """Every field it declares is there, of the type it declares."""
    text = (Path(catalogs.__path__[0]) / "git.yaml").read_text(encoding="utf-8")
    declared = read_catalog(text, "git.yaml").events
    types = {"string": str, "integer": int, "boolean": bool, "strings": list}
    repository.add(commit("1000000000 +0000", file("a.py", b"1\n")))
    repository.git("tag", "v1")
    for event in repository.events():
        fields = declared[event["type"]].data
        assert {name: type(event["data"][name]) for name in fields} == {
            name: types[field.type] for name, field in fields.items()
        }
