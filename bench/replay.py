"""A new achievement over a metric that users have already: how long until everybody who earned it has it.

Twice, one version after the other: one that one user in twelve has earned, then one of two users in three. Each is
planned, then started and carried out by `laurel replay start --wait`; what came of both is held against the oracle.
bench/README.md says what each figure includes.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.latency import CORES
from bench.load import Load, values
from bench.matured import mature
from bench.oracle import award_line, is_award
from bench.outputs import differences, read_outputs
from bench.replaying import Deployment, Ended, Sent, plain_environment, publish, sent_for
from bench.stage import Say
from bench.versions import version
from broker.catalogs import read_program
from cli.catalog_files import CatalogFile
from cli.stack import LocalStack
from cli.stack.kafka import BENCH
from cli.stack.pipeline import await_ready, prepare, settings_on, start_processes
from cli.visibility import wait_until_awarded, wait_until_visible

JOB = "sweep"
CATALOG = Path(__file__).with_name("sweep.yaml")
BRINGS = {2: "songs_released_3", 3: "projects_created_1"}
BESIDE = {"worker": "processor", "projector": "projector", "kafka": "kafka", "postgres": "postgres"}
SECONDS_ASKED = 30.0
SHARE_ASKED = 0.1  # how far a plan may be off

AWARDED = b"select count(distinct user_id), count(*) from user_achievement where replay_id = %(id)s"
TOLD = b"select count(*) from notification where metadata ->> 'replay_id' = %(id)s and metadata ? 'awards'"
REGISTERED = b"""
select extract(epoch from created_at)::float8, extract(epoch from decided_at)::float8,
    extract(epoch from ended_at)::float8
from replay where id = %(id)s
"""
ROWS = b"select user_id, achievement, earned_at from user_achievement"


class Swept(NamedTuple):
    """One version brought, as it was seen. Shapes: beside as BESIDE names it; sent by the kind of order.

    Units: seconds since 1970 in `registered` (created, decided, ended), `awarded_s` and `shown_s`.
    """

    achievement: str
    plan: Mapping[str, Any]
    plan_s: float
    job: Ended
    registered: tuple[float, float, float]
    sent: Mapping[str, Sent]
    awarded_s: float
    shown_s: float
    happened: Mapping[str, int]


def catalog(number: int) -> str:
    """A version of the catalog: the first has neither of the new achievements."""
    return version(CATALOG.read_text(), number, {key for since, key in BRINGS.items() if since > number})


def measure(load: Load, lines: list[str], say: Say) -> dict[str, Any]:
    """Shapes: lines, the oracle's. Raises: LaurelError."""
    os.sched_setaffinity(0, CORES)
    stack = LocalStack(ephemeral=True, kafka_flags=BENCH, environ=plain_environment())
    with stack:
        deployment = Deployment(stack, settings_on(stack))
        prepared_s = _prepare(deployment, load, say)
        sweeps = [_sweep(deployment, number, say) for number in BRINGS]
        say("comparing with the oracle")
        faults = _faults(deployment, lines)
    return {
        "users": load.users,
        "events": load.events,
        "prepared_s": round(prepared_s, 1),
        "sweeps": [told(each) for each in sweeps],
        "faults": faults,
        "correct": not faults,
    }


def _prepare(deployment: Deployment, load: Load, say: Say) -> float:
    """Everything as it is when somebody has a new achievement in mind. Returns the seconds it took."""
    began, settings = time.monotonic(), deployment.settings
    prepare(settings, [CatalogFile(catalog(1), CATALOG.name)])
    say(f"publishing {load.events:,} events of {load.users:,} users")
    ends = asyncio.run(publish(settings.kafka, settings.partitions, values(load)))
    say("folding them")
    mature(deployment)
    say("waiting until a worker has restored their states, and they can be seen")
    await_ready(start_processes(deployment.stack, settings), settings.partitions)
    asyncio.run(wait_until_visible(settings, ends, lambda **_: None))
    return time.monotonic() - began


def _sweep(deployment: Deployment, number: int, say: Say) -> Swept:
    key, file = BRINGS[number], deployment.file(f"{JOB}-{number}.yaml", catalog(number))
    say(f"planning {key}")
    planning = deployment.laurel("replay", "plan", "--catalog", file, "--json")
    plan_s, plan = deployment.succeed(planning).seconds, deployment.answer(planning)
    told_in = deployment.file(f"plan-{number}.json", json.dumps(plan))
    say(f"replaying for {key}")
    job = deployment.laurel("replay", "start", "--catalog", file, "--plan", told_in, "--wait", "--json")
    ended = deployment.succeed(job, BESIDE.values())
    asyncio.run(wait_until_awarded(deployment.settings, lambda **_: None))
    awarded_s = time.time()
    asyncio.run(wait_until_visible(deployment.settings, {}, lambda **_: None))
    shown_s, wanted = time.time(), {"id": deployment.answer(job)["id"]}
    (users, awards), (notices,) = deployment.rows(AWARDED, wanted)[0], deployment.rows(TOLD, wanted)[0]
    created_s, decided_s, ended_s = deployment.rows(REGISTERED, wanted)[0]
    return Swept(
        achievement=key,
        plan=plan,
        plan_s=plan_s,
        job=ended,
        registered=(created_s, decided_s, ended_s),
        sent=asyncio.run(sent_for(deployment.settings, wanted["id"])),
        awarded_s=awarded_s,
        shown_s=shown_s,
        happened={"users": users, "awards": awards, "notices": notices},
    )


def _faults(deployment: Deployment, lines: Sequence[str]) -> list[str]:
    """In the topics, where every award is there once and every state is right; and in Postgres."""
    return differences(lines, asyncio.run(_outputs(deployment))) + differences(
        [line for line in lines if is_award(line)], sorted(award_line(*row) for row in deployment.rows(ROWS))
    )


async def _outputs(deployment: Deployment) -> list[str]:
    settings = deployment.settings
    program = await read_program(settings.kafka, settings.names)
    return await read_outputs(settings.kafka, settings.names, program, settings.partitions)


# --- what is told of it ---


def told(swept: Swept) -> dict[str, Any]:
    """Units: seconds, CPU seconds, MB."""
    created_s, _, ended_s = swept.registered
    planned = {
        "users": swept.plan["users"],
        "awards": swept.plan["awards"],
        "notices": swept.plan["notices"]["digest"],
    }
    return {
        "achievement": swept.achievement,
        "seconds": round(ended_s - swept.job.began_s, 2),
        "start_to_done_s": round(ended_s - created_s, 2),
        "in_time": ended_s - swept.job.began_s <= SECONDS_ASKED,
        "phases_s": {name: round(seconds, 2) for name, seconds in phases(swept).items()},
        "awards_after_done_s": round(max(0.0, swept.awarded_s - ended_s), 2),
        "rows_after_done_s": round(max(0.0, swept.shown_s - ended_s), 2),
        "planned_in_s": round(swept.plan_s, 2),
        "planned": planned,
        "happened": dict(swept.happened),
        "plan_holds": all(is_near(planned[name], count) for name, count in swept.happened.items()),
        "cpu_s": {name: round(swept.job.spent[of].cpu_s, 2) for name, of in _asked()},
        "peak_mb": {name: swept.job.spent[of].peak_mb for name, of in _asked()},
    }


def phases(swept: Swept) -> dict[str, float]:
    """Each from the end of the one before: together they are all of it, from the start of the command."""
    created_s, decided_s, ended_s = swept.registered
    facts = swept.sent.get("facts")
    moments = {
        "start the command, publish the version": created_s,
        "prepare, until every partition is ready": decided_s,
        "tell activate, read states and the winners' past": facts.first_s if facts else swept.sent["done"].first_s,
        "send facts, read on": swept.sent["done"].last_s,
        "owners award, done": ended_s,
    }
    begins = [swept.job.began_s, *moments.values()]
    return {name: at - begin for begin, (name, at) in zip(begins, moments.items(), strict=False)}


def is_near(planned: int, happened: int) -> bool:
    """Whether a plan said it within SHARE_ASKED."""
    return abs(planned - happened) <= SHARE_ASKED * happened


def _asked() -> list[tuple[str, str]]:
    return [("job", "job"), *BESIDE.items()]
