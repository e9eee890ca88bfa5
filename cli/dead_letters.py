"""`laurel dlq`: records that were refused, why, and what they were."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Any, NamedTuple

import typer
from aiokafka.errors import OffsetOutOfRangeError
from rich.console import Console
from rich.table import Table

from broker.positions import Place
from broker.reading import read_to_end
from broker.topics import places_of
from cli.kafka import run
from cli.output import print_json
from cli.settings import Settings
from processor.kafka.dead_letters import PREFIX
from schemas.errors import LaurelError
from schemas.records import Record

LISTED = 50
ID = re.compile(r"(\d+)-(\d+)")

app = typer.Typer(no_args_is_help=True, help="List and show the records that were refused.")


UNSAID = {
    "class": "unknown",
    "topic": "",
    "partition": "",
    "offset": "",
    "timestamp": "",
    "message": "no header says why",
}


class DeadLetter(NamedTuple):
    """A refused record: where it came from, why it was refused, and itself.

    Shapes: id is partition-offset within the dead letters; the rest tells the place of the original, and its time.
    """

    id: str
    cause: str
    topic: str
    partition: int
    offset: int
    message: str
    timestamp: int
    record: Record


@app.command(name="list")
def list_(
    cause: Annotated[str | None, typer.Option("--class", help="Only this class, like bad_data.")] = None,
    topic: Annotated[str | None, typer.Option(help="Only from this source topic.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="Only so many, the newest.")] = LISTED,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List dead letters, the newest last."""
    letters = run(_newest(Settings(), cause, topic, limit))
    if as_json:
        for letter in letters:
            print_json(summary(letter))
    elif letters:
        Console(soft_wrap=True).print(_table(letters))
    else:
        print("no dead letters" if cause is topic is None else "no such dead letters")


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="As `list` shows it: partition-offset.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Show one dead letter: why it was refused, and the record as it was."""
    told = whole(run(_found(Settings(), _place_in(id))))
    if as_json:
        print_json(told)
        return
    for name, value in told.items():
        print(f"{name:10} {value}")


def summary(letter: DeadLetter) -> dict[str, Any]:
    told = letter._asdict()
    told["class"] = told.pop("cause")
    return {name: told[name] for name in ("id", "class", "topic", "partition", "offset", "message")}


def whole(letter: DeadLetter) -> dict[str, Any]:
    """Shapes: bytes that are no UTF-8 are written with \\x escapes."""
    record = letter.record
    return {
        **summary(letter),
        "timestamp": letter.timestamp,
        "key": _text(record.key),
        "headers": {name: _text(value) for name, value in record.headers},
        "value": _text(record.value),
    }


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode(errors="backslashreplace")


def _table(letters: list[DeadLetter]) -> Table:
    table = Table("id", "class", "topic", "partition", "offset", "message", box=None, header_style="bold")
    for letter in letters:
        told = summary(letter)
        table.add_row(*(str(value) for value in told.values()))
    return table


async def _newest(settings: Settings, cause: str | None, topic: str | None, limit: int) -> list[DeadLetter]:
    """The newest of the wanted, oldest first; never more than twice as many are held."""
    places = await places_of(settings.kafka, [settings.names.dead_letters])
    newest: list[DeadLetter] = []
    async for letter in _letters(settings, places):
        if cause in (None, letter.cause) and topic in (None, letter.topic):
            newest.append(letter)
        if len(newest) > 2 * limit:
            newest = sorted(newest, key=_age)[-limit:]
    return sorted(newest, key=_age)[-limit:]


def _age(letter: DeadLetter) -> tuple[int, str, int, int]:
    return letter.record.timestamp, letter.topic, letter.partition, letter.offset


async def _letters(
    settings: Settings, places: list[Place], starts: dict[Place, int] | None = None
) -> AsyncGenerator[DeadLetter]:
    async for batch in read_to_end(settings.kafka, places, starts):
        for record in batch.records:
            yield dead_letter(batch.partition, record)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1


def dead_letter(partition: int, record: Record) -> DeadLetter:
    """A record of the dead-letter topic, read by its headers; what somebody else put there says less."""
    said = UNSAID | {
        name.removeprefix(PREFIX): _text(value) or "" for name, value in record.headers if name.startswith(PREFIX)
    }
    return DeadLetter(
        id=f"{partition}-{record.offset}",
        cause=said["class"],
        topic=said["topic"],
        partition=_number(said["partition"]),
        offset=_number(said["offset"]),
        message=said["message"],
        timestamp=_number(said["timestamp"]),
        record=record,
    )


async def _found(settings: Settings, place: tuple[int, int]) -> DeadLetter:
    partition, offset = place
    topic = settings.names.dead_letters
    if (topic, partition) in await places_of(settings.kafka, [topic]):
        letters = _letters(settings, [(topic, partition)], {(topic, partition): offset})
        with suppress(OffsetOutOfRangeError):  # its retention has passed
            async with aclosing(letters):
                async for letter in letters:
                    if letter.record.offset == offset:
                        return letter
                    break
    raise LaurelError(f"there is no dead letter {partition}-{offset}: take an id that `laurel dlq list` shows")


def _place_in(id: str) -> tuple[int, int]:
    match = ID.fullmatch(id)
    if match is None:
        raise LaurelError(f"'{id}' is no id of a dead letter: write partition-offset, as `list` shows it")
    return int(match[1]), int(match[2])
