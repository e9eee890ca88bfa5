"""`laurel events check`: what would become of each line of a file, before it is published.

The judge is the processor's own reader, so a file that passes here passes there.
"""

from __future__ import annotations

import gzip
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Annotated, Any, Literal, NamedTuple

import msgspec
import typer

from cli.catalog_files import catalog_file
from cli.output import print_json, progress
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.errors import BadRecord, LaurelError, Precondition
from schemas.events import EventReader, readers, topics_of_type
from schemas.program import CatalogProgram, Ledger, Program
from schemas.records import PlainRecord
from schemas.topics import Names

SOME_REFUSED = 3
TOLD_MAX = 1000
STDIN = "-"

Fate = Literal["applied", "skipped", "refused"]


class Address(msgspec.Struct):
    """What decides where an event goes; `topic`, an attribute of ours, settles what the type leaves open."""

    subject: str
    type: str
    topic: Any = None


decode_address: Callable[[bytes], Address] = msgspec.json.Decoder(Address).decode


class LineVerdict(NamedTuple):
    """What would become of a line. Repeated ids are not looked for: they depend on what was published before.

    Shapes: number counts from 1; cause is that of the dead letter, or `ambiguous_topic`; message is empty for what
    is applied; topic is None where nothing tells it; key and value are those of the record to publish.
    """

    number: int
    fate: Fate
    cause: str | None
    message: str
    topic: str | None
    key: bytes | None
    value: bytes


def check_lines(lines: Iterable[bytes], program: Program, now_ms: int | None = None) -> Iterator[LineVerdict]:
    """A verdict for every line that is not blank, as if it were appended at `now_ms`."""
    judge = Judge(program, int(time.time() * 1000) if now_ms is None else now_ms)
    for number, line in enumerate(lines, start=1):
        value = line.strip()
        if value:
            yield judge.judge(number, value)


class Judge:
    """Reads lines as the processor would."""

    def __init__(self, program: Program, now_ms: int) -> None:
        self._program = program
        self._now_ms = now_ms
        self._readers = readers(program.as_published())
        self._stranger = EventReader({})  # for what no catalog declares: it must be a CloudEvent all the same

    def judge(self, number: int, value: bytes) -> LineVerdict:
        address = read_address(value)
        topics = self._topics(address) if address else []
        topic = topics[0] if len(topics) == 1 else None
        key = address.subject.encode() if address else None
        fate, cause, message = self._fate(PlainRecord(number, self._now_ms, key, value), topic, topics)
        if fate == "skipped" and address:
            message = self._stranger_said(address)
        return LineVerdict(number, fate, cause, message, topic, key, value)

    def _fate(self, record: PlainRecord, topic: str | None, topics: list[str]) -> tuple[Fate, str | None, str]:
        if len(topics) > 1:
            return "refused", "ambiguous_topic", f'its type is declared on {" and ".join(topics)}: add "topic"'
        try:
            reading = (self._readers[topic] if topic else self._stranger).read(record)
        except BadRecord as bad:
            return "refused", bad.cause, str(bad)
        return ("applied" if reading else "skipped"), None, ""

    def _topics(self, address: Address) -> list[str]:
        topics = topics_of_type(self._program, address.type)
        return topics if address.topic is None else [topic for topic in topics if topic == address.topic]

    def _stranger_said(self, address: Address) -> str:
        place = "" if address.topic is None else f" on topic '{address.topic}'"
        known = {spec.type for catalog in self._program.catalogs for spec in catalog.events if spec.topic}
        similar = get_close_matches(address.type, sorted(known), n=1)
        hint = f"; did you mean '{similar[0]}'?" if similar else ""
        return f"no catalog declares type '{address.type}'{place}{hint}"


def read_address(value: bytes) -> Address | None:
    """None for what is no CloudEvent: the reader says why."""
    try:
        return decode_address(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def read_lines(path: str) -> Iterator[bytes]:
    """The lines of a file, plain or .gz, or of stdin for `-`. Raises: LaurelError when it cannot be read."""
    try:
        with opened(path) as file:
            yield from file
    except FileNotFoundError:
        raise Precondition(
            f"there is no file '{path}': give a file of CloudEvents, one JSON object a line"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise LaurelError(f"'{path}' cannot be read ({error}): give a file of JSON lines, plain or .gz") from None


def opened(path: str) -> IO[bytes]:
    if path == STDIN:
        return sys.stdin.buffer
    return gzip.open(path) if path.endswith(".gz") else Path(path).open("rb")  # type: ignore[return-value]


def compiled(catalogs: Sequence[str]) -> Program:
    """The program of catalogs on this disk. Raises: BadCatalog."""
    programs: list[CatalogProgram] = []
    ledger = Ledger()
    for named in catalogs:
        program, ledger = compile_catalog(read_catalog(*catalog_file(named)), ledger)
        programs.append(program)
    return Program(catalogs=programs, ledger=ledger, derived=Names().derived, commands=Names().commands)


# --- the command ---

app = typer.Typer(no_args_is_help=True, help="Check events before they are published.")

CatalogOption = Annotated[
    list[str], typer.Option("--catalog", metavar="FILE", help="Catalogs that declare the events; repeatable.")
]


class Tally:
    """The verdicts of a file, counted; the first of those that somebody should know of are kept."""

    def __init__(self) -> None:
        self.fates = Counter[str]()
        self.causes = Counter[str]()
        self.told: list[LineVerdict] = []

    def add(self, verdict: LineVerdict) -> None:
        self.fates[verdict.fate] += 1
        if verdict.cause is not None:
            self.causes[verdict.cause] += 1
        if verdict.fate != "applied" and len(self.told) < TOLD_MAX:
            self.told.append(verdict)

    def row(self, file: str) -> dict[str, Any]:
        counts = {fate: self.fates[fate] for fate in ("applied", "skipped", "refused")}
        told = [
            {"line": each.number, "fate": each.fate, "cause": each.cause, "message": each.message}
            for each in self.told
        ]
        return {"file": file, "lines": self.fates.total(), **counts, "causes": dict(self.causes), "told": told}

    def summary(self, file: str) -> str:
        causes = ", ".join(f"{count} {cause}" for cause, count in self.causes.most_common())
        counts = ", ".join(f"{self.fates[fate]:,} {fate}" for fate in ("applied", "skipped", "refused"))
        return f"{file}: {self.fates.total():,} events: {counts}" + (f" ({causes})" if causes else "")


@app.command()
def check(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="JSON lines of CloudEvents, plain or .gz; - for stdin.")
    ],
    catalog: CatalogOption = ["trackflow"],  # noqa: B006 - typer copies
    every: Annotated[bool, typer.Option("--all", help="Name the applied lines too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Say of each line whether it would be applied, skipped or refused, and why; exit code 3 if any is refused."""
    tally = Tally()
    with progress("checking") as show:
        for verdict in check_lines(read_lines(file), compiled(catalog)):
            tally.add(verdict)
            if not as_json and (every or verdict.fate != "applied"):
                print(written(verdict))
            if verdict.number % 1000 == 0:
                show(lines=verdict.number)
    if as_json:
        print_json(tally.row(file))
    else:
        print(tally.summary(file))
    if tally.fates["refused"]:
        raise typer.Exit(SOME_REFUSED)


def written(verdict: LineVerdict) -> str:
    why = ": ".join(part for part in (verdict.cause, verdict.message) if part)
    return f"line {verdict.number}: {verdict.fate}" + (f": {why}" if why else "")
