"""`laurel claim`: ask for the reward of a challenge, and wait for the answer."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import typer
from psycopg import Connection

from broker.connections import producer
from broker.producing import Outgoing, Publisher
from broker.topics import missing, partition_counts
from cli.kafka import run
from cli.output import print_told
from cli.postgres import read_models
from cli.settings import Settings
from cli.standings import CatalogOption, JsonOption, User, chosen_programs, unknown_user
from progress.queries import Answer, is_known, read_answer
from schemas.catalog.findings import nearest
from schemas.challenges import CLAIM
from schemas.errors import LaurelError
from schemas.program import CatalogProgram

SOURCE = "laurel/cli"
ANSWER_S_MAX = 30.0
POLL_S = 0.1


class Claim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Shapes: without a day it is the user's today."""

    catalog: str
    challenge: str
    day: date | None = None


def command(
    user: User,
    challenge: Annotated[str, typer.Argument(metavar="CHALLENGE", help="The challenge's key.")],
    day: Annotated[
        datetime | None, typer.Option("--day", formats=["%Y-%m-%d"], help="The day it was offered; else today.")
    ] = None,
    catalog: CatalogOption = None,
    timeout: Annotated[float, typer.Option(help="Wait no longer than so many seconds.")] = ANSWER_S_MAX,
    as_json: JsonOption = False,
) -> None:
    """Claim a challenge. It is refused, with what is missing, unless it is offered, open and complete."""
    settings = Settings()
    with read_models(settings) as connection:
        programs = chosen_programs(connection, catalog)
        if not is_known(connection, user):
            raise unknown_user(user)
        offering = offering_catalog(programs, challenge)
        claim = Claim(catalog=offering, challenge=challenge, day=day.date() if day else None)
        command_id = str(uuid4())
        run(publish(settings, user, command_id, claim))
        answer = await_answer(connection, user, command_id, timeout)
    if as_json:
        print_told({"command_id": command_id, **msgspec.structs.asdict(claim), **msgspec.structs.asdict(answer)})
    else:
        print(told(answer))
    if answer.status == "refused":
        raise typer.Exit(LaurelError.exit_code)


def offering_catalog(programs: list[CatalogProgram], challenge: str) -> str:
    """The catalog that has it. Raises: LaurelError when none has, or several have."""
    keys = {each.catalog: [spec.key for spec in each.challenges.offered] for each in programs if each.challenges}
    having = [name for name, known in keys.items() if challenge in known]
    if not having:
        known = {key for listed in keys.values() for key in listed}
        remedy = nearest(challenge, known) if known else "no catalog has challenges"
        raise LaurelError(f"no challenge '{challenge}' is known: {remedy}")
    if len(having) > 1:
        names = " or ".join(f"--catalog {name}" for name in having)
        raise LaurelError(f"several catalogs have a challenge '{challenge}': say {names}")
    return having[0]


async def publish(settings: Settings, user: str, command_id: str, claim: Claim) -> None:
    topic = settings.names.commands
    partitions = await partition_counts(settings.kafka, [topic])
    if not partitions[topic]:
        raise missing(topic)
    async with producer(settings.kafka) as client:
        record = Outgoing(topic, user.encode(), msgspec.json.encode(envelope(user, command_id, claim)))
        await Publisher(client, partitions).send_all([record])


def envelope(user: str, command_id: str, claim: Claim) -> dict[str, Any]:
    """The claim as a CloudEvent."""
    return {
        "specversion": "1.0",
        "id": command_id,
        "source": SOURCE,
        "type": CLAIM,
        "subject": user,
        "time": datetime.now(UTC),
        "data": claim,
    }


def await_answer(connection: Connection, user: str, command_id: str, patience_s: float) -> Answer:
    """Raises: LaurelError when none comes."""
    deadline = time.monotonic() + patience_s
    while (answer := read_answer(connection, command_id, user)) is None:
        if time.monotonic() > deadline:
            raise LaurelError(
                f"claim {command_id} was published, and no answer came within {patience_s:g} s: "
                "do a worker and a projector run? `laurel doctor` says; a claim is decided once, however late"
            )
        time.sleep(POLL_S)
    return answer


def told(answer: Answer) -> str:
    """`refused (incomplete): 'two_sessions' needs 2, and 1 is reached`."""
    reason = f" ({answer.reason})" if answer.reason else ""
    return f"{answer.status}{reason}: {answer.message}"
