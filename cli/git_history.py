"""The history of a git repository as events: real input that every developer already has.

`git log` runs once and is read as it comes, so a long history takes no memory here.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from schemas.errors import LaurelError

SOURCE = "git"
AUTHOR_HEX_DIGITS = 16
EXTENSIONS_MAX = 50
EXTENSION_CHARACTERS_MAX = 20
CLOCK_SKEW_SECONDS_MAX = 24 * 3600

FIELD_MARK = "\x1f"
COMMIT_MARK = "\x01"
COMMIT_FORMAT = "%x01%H%x1f%aE%x1f%ad%x1f%P"
TAG_FORMAT = "%(objectname)%1f%(*objectname)%1f%(taggeremail)%1f%(taggerdate:raw)%1f%(refname:strip=2)"
OURS = ["-c", "core.quotePath=false", "-c", "log.showSignature=false"]
LOG = ["log", "--reverse", "--date-order", "--date=raw", f"--format={COMMIT_FORMAT}", "--numstat", "--no-renames"]
PLAIN = ["--no-color", "--no-ext-diff", "--no-textconv", "HEAD", "--tags"]
TAGS = ["for-each-ref", f"--format={TAG_FORMAT}", "refs/tags"]

RAW_DATE = re.compile(r"(-?\d+) ([+-])(\d\d)([0-5]\d)")
WEST_MAX, EAST_MAX = -12 * 60, 14 * 60
ZONES_BETWEEN_HOURS = {330: "Asia/Kolkata", 345: "Asia/Kathmandu", 570: "Australia/Darwin"}


@dataclass
class Skipped:
    """How many commits and tags no event can be made of."""

    before_1970: int = 0
    broken_date: int = 0


@dataclass
class Commit:
    sha: str
    email: str
    date: str
    is_merge: bool
    files: int = 0
    insertions: int = 0
    deletions: int = 0
    extensions: set[str] = field(default_factory=set)


class Tag(NamedTuple):
    """An annotated tag has its tagger and date; a plain one takes its commit's."""

    name: str
    email: str
    date: str


class Moment(NamedTuple):
    """A time as git keeps it. Units: offset, minutes east of UTC on the clock it was read from."""

    seconds: int
    offset: int


def events_of(path: Path | str, skipped: Skipped | None = None) -> Iterator[dict[str, Any]]:
    """CloudEvents of the commits that HEAD and the tags reach, oldest first, each followed by its tags.

    Raises: LaurelError when there is no history to read.
    """
    repository = os.fspath(path)
    check_repository(repository)
    return _events(repository, skipped if skipped is not None else Skipped())


def _events(repository: str, skipped: Skipped) -> Iterator[dict[str, Any]]:
    tags = tags_by_commit(output_of(repository, TAGS))
    for commit in commits(output_of(repository, [*LOG, *PLAIN])):
        moment = read_moment(commit.date, skipped)
        if moment is not None:
            yield commit_event(commit, moment)
        for tag in tags.get(commit.sha, ()):
            tagged_at = read_moment(tag.date or commit.date, skipped)
            if tagged_at is not None:
                yield tag_event(tag, tag.email or commit.email, tagged_at)


# --- git's own words ---


def check_repository(path: str) -> None:
    """Raises: LaurelError, with what git says, unless the path is a repository with a commit."""
    if not Path(path).is_dir():
        raise LaurelError(f"'{path}' is no folder: give the path of a git repository, as in --git ~/code/project")
    try:
        for _ in output_of(path, ["rev-parse", "HEAD^{commit}"]):
            pass
    except FileNotFoundError:
        raise LaurelError(
            "git is not installed, or not in PATH: install it to read a repository's history"
        ) from None


def output_of(path: str, verb: list[str]) -> Iterator[str]:
    """The lines of a git command while it runs. Raises: LaurelError with git's first words when it fails."""
    with TemporaryFile() as complaints:
        process = subprocess.Popen(
            ["git", "-C", path, *OURS, *verb],
            env=os.environ | {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        try:
            for line in process.stdout or ():
                yield line.decode(errors="replace")
            failed = process.wait()
        finally:
            end(process)
        if failed:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().partition("\n")[0]
            raise LaurelError(f"git cannot read the history of '{path}' ({said}): give a repository with a commit")


def end(process: subprocess.Popen[bytes]) -> None:
    """Leave no git behind when the reader stops early."""
    if process.poll() is None:
        process.terminate()
    if process.stdout:
        process.stdout.close()
    process.wait()


def tags_by_commit(lines: Iterable[str]) -> dict[str, list[Tag]]:
    tags: dict[str, list[Tag]] = defaultdict(list)
    for line in lines:
        target, peeled, email, date, name = line.rstrip("\n").split(FIELD_MARK)
        tags[peeled or target].append(Tag(name, email.strip("<>"), date))
    return tags


def commits(lines: Iterable[str]) -> Iterator[Commit]:
    """A line with a mark begins a commit; a line for each file it touched follows."""
    commit: Commit | None = None
    for line in lines:
        if line.startswith(COMMIT_MARK):
            if commit is not None:
                yield commit
            sha, email, date, parents = line.strip(COMMIT_MARK + "\n").split(FIELD_MARK)
            commit = Commit(sha, email, date, is_merge=" " in parents)
        elif commit is not None and line.count("\t") >= 2:
            count_file(commit, *line.rstrip("\n").split("\t", 2))
    if commit is not None:
        yield commit


def count_file(commit: Commit, insertions: str, deletions: str, path: str) -> None:
    """Git writes a dash for the lines of a binary file."""
    commit.files += 1
    commit.insertions += int(insertions) if insertions.isdecimal() else 0
    commit.deletions += int(deletions) if deletions.isdecimal() else 0
    stem, _, extension = path.strip('"').rpartition("/")[2].rpartition(".")
    if stem and len(extension) <= EXTENSION_CHARACTERS_MAX and len(commit.extensions) < EXTENSIONS_MAX:
        commit.extensions.add(extension.lower())


def read_moment(date: str, skipped: Skipped) -> Moment | None:
    """A raw date, or None, counted, for one that cannot be."""
    matched = RAW_DATE.fullmatch(date)
    seconds = int(matched[1]) if matched else 0
    offset = int(f"{matched[2]}1") * (int(matched[3]) * 60 + int(matched[4])) if matched else 0
    if matched is None or seconds > time.time() + CLOCK_SKEW_SECONDS_MAX or not WEST_MAX <= offset <= EAST_MAX:
        skipped.broken_date += 1
        return None
    if seconds < 0:
        skipped.before_1970 += 1
        return None
    return Moment(seconds, offset)


# --- events ---


def commit_event(commit: Commit, moment: Moment) -> dict[str, Any]:
    local = datetime.fromtimestamp(moment.seconds, UTC) + timedelta(minutes=moment.offset)
    data = {
        "sha": commit.sha,
        "files": commit.files,
        "insertions": commit.insertions,
        "deletions": commit.deletions,
        "hour": local.hour,
        "weekday": local.isoweekday(),
        "is_merge": commit.is_merge,
        "extensions": sorted(commit.extensions),
    }
    return event("commit", commit.sha, commit.email, moment, data)


def tag_event(tag: Tag, email: str, moment: Moment) -> dict[str, Any]:
    return event("tagged", f"tag:{tag.name}", email, moment, {"name": tag.name})


def event(kind: str, event_id: str, email: str, moment: Moment, data: dict[str, Any]) -> dict[str, Any]:
    zone = zone_of(moment.offset)
    return {
        "specversion": "1.0",
        "id": event_id,
        "source": SOURCE,
        "type": kind,
        "subject": hashed(email),
        "time": datetime.fromtimestamp(moment.seconds, UTC).isoformat().replace("+00:00", "Z"),
        **({"timezone": zone} if zone else {}),
        "data": data,
    }


def hashed(email: str) -> str:
    """Who it was, without saying who."""
    return hashlib.sha256(email.lower().encode()).hexdigest()[:AUTHOR_HEX_DIGITS]


def zone_of(offset: int) -> str | None:
    """A zone with this offset, so that a day is the author's own; None where there is none."""
    if offset % 60:
        return ZONES_BETWEEN_HOURS.get(offset)
    hours_west = -offset // 60  # the names of these zones count westwards, as POSIX does
    return f"Etc/GMT{hours_west:+d}" if offset else "UTC"
