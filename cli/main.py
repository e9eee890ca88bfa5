"""The `laurel` command: one table of verbs, each module imported only when its verb is called."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any, NamedTuple, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

from schemas.errors import LaurelError, Precondition

INTERRUPTED = 130


class Verb(NamedTuple):
    """`module` has a function (and perhaps its `command_settings`) or, for a group of verbs, an `app`.

    One that `serves` runs until SIGTERM, which is no failure.
    """

    name: str
    module: str
    panel: str
    help: str
    serves: bool = False
    function: str = "command"


START, PUBLISH, LOOK, OPERATE, BUILD = "Getting started", "Publish", "Look", "Operate", "Build"
DJANGO = "By the names of a Django project"

VERBS = [
    Verb("demo", "cli.demo", START, "See the whole path work, and checked against a reference."),
    Verb("dev", "cli.dev", START, "Run Kafka, Postgres and everything of Laurel until Ctrl-C."),
    Verb("test", "cli.testing", START, "Run every check and test."),
    Verb("publish", "cli.publish", PUBLISH, "Publish a file of events."),
    Verb("simulate", "cli.simulate", PUBLISH, "Write a seeded year of a product's events."),
    Verb("events", "cli.events", PUBLISH, "Check a file of events before it is published."),
    Verb("catalog", "cli.catalogs", PUBLISH, "Check, try, compare and publish catalogs."),
    Verb("claim", "cli.claim", PUBLISH, "Claim a challenge for a user."),
    Verb("awards", "cli.awards", LOOK, "Export what users have earned."),
    Verb("user", "cli.users", LOOK, "Show one user."),
    Verb("progress", "cli.progress", LOOK, "How far a user is with everything."),
    Verb("explain", "cli.explain", LOOK, "Why a user has an achievement, or why not yet."),
    Verb("suggest", "cli.suggest", LOOK, "What a user is closest to."),
    Verb("roadmap", "cli.roadmap", LOOK, "The way to everything that a user has not earned yet."),
    Verb("history", "cli.history", LOOK, "What happened to a user."),
    Verb("stats", "cli.stats", LOOK, "A user in numbers, or how well the catalogs do."),
    Verb("dlq", "cli.dead_letters", LOOK, "List and show dead letters."),
    Verb("doctor", "cli.doctor", OPERATE, "Say what is wrong and what to do."),
    Verb("verify", "cli.verify", OPERATE, "Fold users anew from the log and compare with what is shown."),
    Verb("queue", "cli.queue", OPERATE, "Claim and acknowledge notifications, without any library."),
    Verb("db", "cli.database", OPERATE, "Upgrade the read models' schema, and show its state."),
    Verb("topics", "cli.topics", OPERATE, "Create and check topics."),
    Verb("skip", "cli.skip", OPERATE, "Let a partition go on that is parked at a record."),
    Verb("replay", "cli.replays", OPERATE, "Give what people have already earned."),
    Verb("worker", "cli.worker", OPERATE, "Run one processor.", serves=True),
    Verb("projector", "cli.projector", OPERATE, "Run one projector.", serves=True),
    Verb("replayer", "cli.replayer", OPERATE, "Carry out the replays that were started.", serves=True),
    Verb("checklist", "cli.checklist", BUILD, "What the products ask for, and the tests that hold it."),
    Verb("bench", "cli.bench", BUILD, "Measure speed, latency and memory."),
    Verb("soak", "cli.soak", BUILD, "Run everything under random faults, and check the invariants."),
    Verb("model", "cli.model", BUILD, "Check the model of replay with TLC."),
    Verb("schema", "cli.schema", BUILD, "Export the contract as JSON Schema and AsyncAPI."),
    *(
        Verb(name, f"cli.{module}", DJANGO, help, function=name)
        for module, name, help in [
            ("achievements", "load_achievements", "Publish catalogs."),
            ("retroactive", "award_retroactive_achievements", "Give what was earned before it was there."),
            ("retroactive", "recalculate_achievements", "Fold a user's events anew, and compare."),
            ("achievements", "check_achievements", "What a user has unlocked."),
            ("achievements", "debug_achievements", "All that decides one achievement of one user."),
        ]
    ),
]


class Verbs(TyperGroup):
    """Help comes from the table; what is called is imported."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in and load(str(name)), rest


def load(name: str) -> Any:
    verb = next(verb for verb in VERBS if verb.name == name)
    if verb.serves:
        signal.signal(signal.SIGTERM, _leave_at_once)  # until it is imported, which takes a second, and drains
    module = importlib.import_module(verb.module)
    if hasattr(module, "app"):
        return get_group(module.app)  # a group even while it has one verb only
    single = typer.Typer(add_completion=False, rich_markup_mode="rich")
    single.command(name, context_settings=getattr(module, "command_settings", None))(getattr(module, verb.function))
    return get_command(single)


def _leave_at_once(*_: Any) -> NoReturn:
    os._exit(0)


def root() -> Verbs:
    return Verbs(
        name="laurel",
        help="Turns a stream of domain events into achievements.",
        commands={verb.name: _stand_in(verb) for verb in VERBS},
        no_args_is_help=True,
        rich_markup_mode="rich",
    )


def _stand_in(verb: Verb) -> TyperCommand:
    return TyperCommand(verb.name, help=verb.help, rich_help_panel=verb.panel)


def main() -> None:
    try:
        root()(prog_name="laurel")
    except LaurelError as error:
        _end(error)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        expected = said_plainly(error)
        if expected is None:
            raise
        _end(expected)
    finally:
        _forget_interruption()


def _forget_interruption() -> None:
    """Let our exit code be the last word.

    A Ctrl-C that meets CPython while it makes a dataclass or a named tuple, which it compiles from text, is
    remembered beyond its `except`: the process would end by SIGINT, with no code. The next text forgets it.
    """
    exec("")


def _end(error: LaurelError) -> None:
    print(f"laurel: {error}", file=sys.stderr)
    if "--json" in sys.argv:
        print(json.dumps({"error": str(error), "exit_code": error.exit_code}, ensure_ascii=False))
    sys.exit(error.exit_code)


def said_plainly(error: Exception) -> LaurelError | None:
    """What a library's error means to whoever called us; None for one that only our own bug explains.

    By name: whoever raised it has imported the library, and no other command should have to.
    """
    if isinstance(error, OSError) and (file := _named_file(error)):
        return Precondition(f"'{file}' cannot be read or written: {error.strerror}; name another file")
    match type(error).__module__.partition(".")[0], type(error).__name__:
        case "aiokafka", "KafkaConnectionError":
            return Precondition(f"Kafka does not answer ({error}): start one with `laurel dev`; check LAUREL_KAFKA")
        case "psycopg", "OperationalError" | "ConnectionTimeout":
            return Precondition(f"Postgres does not answer ({str(error).strip()}): check LAUREL_POSTGRES")
        case (("pydantic" | "pydantic_core"), "ValidationError") if getattr(error, "title", "").endswith(
            "Settings"
        ):
            return LaurelError(_wrong_settings(error))
    return None


def _named_file(error: OSError) -> str:
    """The file that the caller named, if it is about one; or about what stands in for it while it is written."""
    said = (each.rpartition("=")[2] for each in sys.argv[1:])
    return next((file for file in said if file and str(error.filename).startswith(file)), "")


def _wrong_settings(error: Any) -> str:
    wrong = []
    for each in error.errors():
        name = "LAUREL_" + "_".join(map(str, each["loc"])).upper()
        wrong.append(f"{name}={each['input']}: {each['msg']}")
    return "the environment is not usable: " + "; ".join(wrong)


if __name__ == "__main__":
    main()
