"""Jars: fetched once from Maven Central with jgo, checked against the hashes of a lock.

That of Kafka's is `kafka_jars.json`: what `jgo.resolve` answered to "org.apache.kafka:kafka_2.13:4.1.0", with the
sha256 of each jar, as requirements/ is for Python. To that comes log4j-slf4j-impl, without which Kafka logs
nothing. jgo itself only warns about a wrong checksum, and leaves a download that was cut off where a whole one
would be; hence our own check, in a folder that appears when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import ssl
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from schemas.errors import LaurelError, Precondition

KAFKA_VERSION = "4.1.0"
DOWNLOADS_AT_ONCE = 6
DOWNLOAD_SECONDS = 60
ATTEMPTS = 3
CERTIFICATE_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class JarSet(NamedTuple):
    """Jars that belong together. Shapes: lock, a JSON file of group:artifact:version → sha256."""

    folder: str
    title: str
    megabytes: int
    lock: Path

    def locked(self) -> dict[str, str]:
        hashes: dict[str, str] = json.loads(self.lock.read_text())
        return hashes


KAFKA = JarSet(
    f"kafka-{KAFKA_VERSION}", f"Apache Kafka {KAFKA_VERSION}", 44, Path(__file__).with_name("kafka_jars.json")
)


def class_path(jars: JarSet = KAFKA) -> str:
    """All jars, downloaded if need be. Raises: Precondition without a network or a cache to write to."""
    kept = class_folder(jars)
    if not all((kept / jar_name(coordinate)).exists() for coordinate in jars.locked()):
        _fetch_into(kept, jars)
    return str(kept / "*")


def class_folder(jars: JarSet = KAFKA) -> Path:
    return cache_folder() / jars.folder


def jar_name(coordinate: str) -> str:
    _, artifact, version = coordinate.split(":")
    return f"{artifact}-{version}.jar"


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "laurel"


def _fetch_into(kept: Path, jars: JarSet) -> None:
    """Download beside the final place, then rename: two at once, or one cut off, do no harm."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="kafka-draft-", dir=kept.parent))
    except OSError as failure:
        raise Precondition(
            f"cannot write the cache folder {kept.parent} ({failure.strerror}): set XDG_CACHE_HOME to another"
        ) from failure
    try:
        _download_all(draft, jars)
        _put_in_place(draft / "jars", kept)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(jars: Path, kept: Path) -> None:
    try:
        jars.rename(kept)
    except OSError:  # there is one already: another process's, or one that lost a jar
        for jar in jars.iterdir():
            jar.replace(kept / jar.name)


def _download_all(draft: Path, jars: JarSet) -> None:
    (draft / "jars").mkdir()
    lock = jars.locked()
    with (
        _log_to_file(),
        _trust_of_the_system(),
        ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as pool,
        _counter(jars, len(lock)) as count,
    ):
        for _ in pool.map(lambda row: _download(draft, *row), lock.items()):
            next(count)


def _download(draft: Path, coordinate: str, sha256: str) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            jar = _fetch(draft, coordinate)
        except (OSError, RuntimeError) as failure:  # requests' errors are OSErrors
            if attempt == ATTEMPTS:
                raise Precondition(
                    f"cannot download {coordinate}: {failure}. Check the network, then start again; or set "
                    "LAUREL_KAFKA to a Kafka of yours"
                ) from failure
            continue
        if hashlib.sha256(jar.read_bytes()).hexdigest() == sha256:
            jar.rename(draft / "jars" / jar_name(coordinate))
            return
        jar.unlink()
    raise LaurelError(f"{coordinate} was downloaded {ATTEMPTS} times, never with the sha256 {sha256} of the lock")


def _fetch(draft: Path, coordinate: str) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    group, artifact, version = coordinate.split(":")
    mirrors = GlobalSettings.load().repositories
    maven = MavenContext(
        repo_cache=draft / "maven",
        remote_repos={"central": MAVEN_CENTRAL_URL, **mirrors},
        timeout=DOWNLOAD_SECONDS,
    )
    partial = maven.project(group, artifact).at_version(version).artifact()
    partial.cached_path.unlink(missing_ok=True)
    path: Path = partial.resolve()
    return path


@contextmanager
def _log_to_file() -> Iterator[None]:
    log = logging.getLogger("jgo")
    to_file = logging.FileHandler(cache_folder() / "downloads.log")
    log.addHandler(to_file)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(to_file)
        to_file.close()


@contextmanager
def _trust_of_the_system() -> Iterator[None]:
    """The system knows its company's certificates; the bundle that comes with `requests` does not."""
    paths = ssl.get_default_verify_paths()
    bundle = paths.cafile or paths.capath
    if bundle is None or any(name in os.environ for name in CERTIFICATE_VARIABLES):
        yield
        return
    os.environ[CERTIFICATE_VARIABLES[0]] = bundle
    try:
        yield
    finally:
        del os.environ[CERTIFICATE_VARIABLES[0]]


@contextmanager
def _counter(jars: JarSet, total: int) -> Iterator[Iterator[None]]:
    """One line on stderr that counts up; without a terminal a first and a last line."""
    text = f"Downloading {jars.title} ({jars.megabytes} MB, once)"
    live = sys.stderr.isatty()

    def counting() -> Iterator[None]:
        for done in range(total + 1):
            if live:
                print(f"\r{text}: {done}/{total} jars", end="", file=sys.stderr, flush=True)
            yield

    if not live:
        print(f"{text} …", file=sys.stderr, flush=True)
    count = counting()
    next(count)
    yield count
    print("" if live else f"Downloaded {jars.title}", file=sys.stderr, flush=True)
