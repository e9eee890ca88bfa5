"""The faults: what each one is in plain words, and what is done to the processes, the lines and the servers."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple

from psycopg import Connection, OperationalError

from broker.failpoints import POINTS
from cli.faults.changelog import compact_often, is_compacted
from cli.faults.ground import POLL_S, Ground, await_end, signal_child
from cli.faults.proxy import Proxy
from cli.faults.scene import SESSION_S, Scene
from cli.stack.child import Child
from cli.stack.kafka import answers
from cli.stack.pipeline import CHECKOUT
from projections.database import connect
from schemas.errors import LaurelError

BEYOND_SESSION_S = SESSION_S + 3
CHURN_EVERY_S = 2
FAR_S = 0.2
SERVER_S_MAX = 90.0
COMPACTED_S_MAX = 120.0
HIT_S_MAX = 20.0
JUMPING_CLOCK = Path(__file__).parent / "jumping_clock"
SESSIONS = b"""
select {0}(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
  and application_name like %s
"""


Hit = Literal["worker", "projector", "broker", "lines", "database"]


class Fault(NamedTuple):
    """Something that goes wrong. It returns when the cause is gone, which is not yet when all has recovered.

    `hits` says what it happens to: faults that hit different things go together. One that `kills` ends a process
    by kill -9 for certain.

    Units: takes_s, about, until everything has recovered.
    """

    name: str
    hits: Hit
    tells: str
    inflict: Callable[[Scene, Random], None]
    kills: bool = False
    takes_s: int = 10


# --- processes ---


def kill_worker(scene: Scene, draw: Random) -> None:
    scene.kill(draw.choice(scene.workers))


def kill_projector(scene: Scene, draw: Random) -> None:
    scene.kill(draw.choice(scene.projectors))


def kill_worker_at(step: int, scene: Scene, draw: Random) -> None:
    scene.run_until(draw.choice(scene.workers), f"checkpoint.{step}=kill@{draw.randint(1, 6)}")


def kill_projector_at(step: int, scene: Scene, draw: Random) -> None:
    scene.run_until(draw.choice(scene.projectors), f"projection.{step}=kill@{draw.randint(1, 4)}")


def freeze_worker(scene: Scene, draw: Random) -> None:
    _freeze(draw.choice(scene.workers))


def freeze_projector(scene: Scene, draw: Random) -> None:
    _freeze(draw.choice(scene.projectors))


def _freeze(child: Child) -> None:
    signal_child(child, signal.SIGSTOP)
    try:
        last(BEYOND_SESSION_S)
    finally:
        signal_child(child, signal.SIGCONT)


def freeze_worker_at(step: int, scene: Scene, draw: Random) -> None:
    with scene.standing_still(draw.choice(scene.workers), f"checkpoint.{step}=freeze@{draw.randint(1, 6)}"):
        last(BEYOND_SESSION_S)


def freeze_projector_at(step: int, scene: Scene, draw: Random) -> None:
    """It may hold the locks of its open transaction; Postgres takes them away after 30 s."""
    with scene.standing_still(draw.choice(scene.projectors), f"projection.{step}=freeze@{draw.randint(1, 4)}"):
        last(BEYOND_SESSION_S)


def churn(seconds: float, scene: Scene, draw: Random) -> None:
    """At most two more than usual; the leavers leave in peace or are killed."""
    joined: list[Child] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if joined and (len(joined) == 2 or draw.random() < 0.5):
            leaver = joined.pop(draw.randrange(len(joined)))
            scene.retire(leaver, draw.choice([signal.SIGTERM, signal.SIGKILL]))
        else:
            joined.append(scene.start_worker())
        last(CHURN_EVERY_S)
    for each in joined:
        scene.retire(each)


def disturb_restores(scene: Scene, draw: Random) -> None:
    """From far away a restore takes seconds: joiners and leavers come in the middle of it."""
    proxy = scene.ground.kafka_proxy
    proxy.delay_s = FAR_S
    try:
        churn(20, scene, draw)
    finally:
        proxy.delay_s = 0.0


def jump_clock(scene: Scene, draw: Random) -> None:
    paths = [str(JUMPING_CLOCK), str(CHECKOUT)]
    jumper = scene.start_worker({"PYTHONPATH": os.pathsep.join(paths)})
    scene.until(lambda: "acquired" in jumper.last_lines(), "the worker with the jumping clock has its partitions")
    scene.await_progress()
    scene.retire(jumper)


# --- the broker ---


def stop_broker(scene: Scene, draw: Random) -> None:
    _broker_down(scene, signal.SIGTERM, 0)


def kill_broker(scene: Scene, draw: Random) -> None:
    _broker_down(scene, signal.SIGKILL, 0)


def keep_broker_down(seconds: float, scene: Scene, draw: Random) -> None:
    _broker_down(scene, signal.SIGKILL, seconds)


def _broker_down(scene: Scene, number: signal.Signals, seconds: float) -> None:
    broker = scene.ground.broker
    count_kill(scene, "broker", number)
    with scene.unsupervised(broker):
        signal_child(broker, number)
        await_end(broker, broker.pid)
        last(seconds)
    await_broker(scene.ground)


def fill_disk_of_broker(scene: Scene, draw: Random) -> None:
    """No file of the broker can grow; it ends by itself, and finds room when it is started again."""
    broker = scene.ground.broker
    with scene.unsupervised(broker):
        allow_file_bytes([broker.pid], 0)
        await_end(broker, broker.pid)
    await_broker(scene.ground)


def await_broker(ground: Ground) -> None:
    _await(lambda: asyncio.run(answers(ground.kafka)), "the broker answers")


def compact_changelog(scene: Scene, draw: Random) -> None:
    """Compacted under load; then a worker has nothing but that to restore from."""
    loop = scene.ground.loop
    loop.run(compact_often(scene.settings))
    scene.until(lambda: loop.run(is_compacted(scene.settings)), "the changelog is compacted", COMPACTED_S_MAX)
    scene.kill(draw.choice(scene.workers))


# --- the lines to the broker ---


def cut_lines(scene: Scene, draw: Random) -> None:
    for _ in range(draw.randint(1, 5)):
        scene.ground.kafka_proxy.cut()
        last(draw.random())


def refuse_lines(scene: Scene, draw: Random) -> None:
    proxy = scene.ground.kafka_proxy
    proxy.refusing = True
    try:
        proxy.cut()
        last(draw.uniform(2, 2 * SESSION_S))
    finally:
        proxy.refusing = False


def delay_lines(seconds: float, scene: Scene, draw: Random) -> None:
    proxy = scene.ground.kafka_proxy
    proxy.delay_s = FAR_S
    try:
        last(seconds)
    finally:
        proxy.delay_s = 0.0


def half_open_lines(scene: Scene, draw: Random) -> None:
    """What is open stays so and carries nothing; new connections work."""
    scene.ground.kafka_proxy.half_open()


def silence_lines(scene: Scene, draw: Random) -> None:
    """Nothing comes through, on old connections and new ones; those stay silent for ever."""
    proxy = scene.ground.kafka_proxy
    proxy.silent = True
    try:
        last(BEYOND_SESSION_S)
    finally:
        proxy.silent = False


def lose_end_of_transaction(scene: Scene, draw: Random) -> None:
    _lose_reply(scene, scene.ground.kafka_proxy, "reply to EndTxn")


def lose_commit_reply(scene: Scene, draw: Random) -> None:
    _lose_reply(scene, scene.ground.postgres_proxy, "reply to COMMIT")


def _lose_reply(scene: Scene, proxy: Proxy, what: str) -> None:
    before = proxy.lost
    proxy.losses_wanted += 1
    try:
        scene.until(lambda: proxy.lost > before, f"a {what} that can be lost", HIT_S_MAX)
    finally:
        proxy.losses_wanted = 0


# --- Postgres ---


def end_sessions(scene: Scene, draw: Random) -> None:
    _strike_sessions(scene, "pg_terminate_backend")


def cancel_statements(scene: Scene, draw: Random) -> None:
    """As statement_timeout does it, with the same error code."""
    _strike_sessions(scene, "pg_cancel_backend")


def _strike_sessions(scene: Scene, function: str) -> None:
    """In the middle of a transaction, which is waited for."""
    query, names = SESSIONS.replace(b"{0}", function.encode()), [f"{scene.shape.namespace} %"]
    with _straight(scene) as connection:
        scene.until(
            lambda: connection.execute(query, names).fetchall(), "a projector is in a transaction", HIT_S_MAX
        )


def hold_lock(seconds: float, scene: Scene, draw: Random) -> None:
    with _straight(scene) as connection, connection.transaction():
        connection.execute("set local lock_timeout = '60s'")  # a frozen projector may hold locks itself
        connection.execute("lock table user_achievement, user_progress in access exclusive mode")
        last(seconds)


def restart_database(scene: Scene, draw: Random) -> None:
    _database_down(scene, signal.SIGINT)


def kill_database(scene: Scene, draw: Random) -> None:
    _database_down(scene, signal.SIGKILL)


def _database_down(scene: Scene, number: signal.Signals) -> None:
    database = scene.ground.database
    count_kill(scene, "database", number)
    with scene.unsupervised(database):
        signal_child(database, number)
        await_end(database, database.pid)
    await_database(scene)


def fill_disk_of_database(seconds: float, scene: Scene, draw: Random) -> None:
    """No file of Postgres can grow, nor of any process that it starts meanwhile."""
    database = scene.ground.database
    allow_file_bytes([database.pid, *children_of(database.pid)], 0)
    try:
        last(seconds)
    finally:
        if database.alive:
            allow_file_bytes([database.pid, *children_of(database.pid)], None)
    if not database.alive:
        with scene.unsupervised(database):
            pass
    await_database(scene)


def await_database(scene: Scene) -> None:
    _await(lambda: _answers(scene), "Postgres answers")


def _answers(scene: Scene) -> bool:
    try:
        _straight(scene).close()
    except OperationalError:
        return False
    return True


def _straight(scene: Scene) -> Connection:
    return connect(scene.settings.database)


# --- what they share ---


def count_kill(scene: Scene, what: str, number: signal.Signals) -> None:
    if number == signal.SIGKILL:
        scene.kills[what] += 1


def last(seconds: float) -> None:
    """A fault goes on for so long: nothing is waited for."""
    time.sleep(seconds)


def _await(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SERVER_S_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise LaurelError(f"not within {SERVER_S_MAX:.0f} s: {what}")
        time.sleep(POLL_S)


def allow_file_bytes(pids: Iterable[int], size: int | None) -> None:
    """No file of these processes may grow beyond so many bytes, as if the disk were full; None lifts it.

    Needs no privilege: a limit may be lowered, and raised again to the hard one, which is left alone. But it wants
    to be asked by the processes' own user, and the database of a root is another's.
    """
    for pid in pids:
        with suppress(FileNotFoundError):  # it has ended meanwhile
            owner = Path(f"/proc/{pid}").stat()
            as_user(owner.st_uid, owner.st_gid, partial(_limit, pid, size))


def _limit(pid: int, size: int | None) -> None:
    with suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def as_user(user: int, group: int, work: Callable[[], None]) -> None:
    """Do a small thing as this user. Raises: LaurelError when it cannot be done."""
    if user == os.geteuid():
        work()
        return
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgid(group)
            os.setuid(user)
            work()
            status = 0
        finally:
            os._exit(status)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise LaurelError(f"the limits of a process of user {user} cannot be set by user {os.geteuid()}")


def children_of(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in told.split()]


def _killed_at(who: Hit, group: str, what: str, strike: Callable[[int, Scene, Random], None]) -> list[Fault]:
    return [
        Fault(
            f"{who} killed at {group}.{step}",
            who,
            f"a {who} is killed by kill -9 at step {step} of {what}",
            partial(strike, step),
            kills=True,
        )
        for step in POINTS[group]
    ]


FAULTS = [
    Fault("worker killed", "worker", "a worker is killed by kill -9, whatever it does", kill_worker, kills=True),
    *_killed_at("worker", "checkpoint", "a checkpoint", kill_worker_at),
    Fault(
        "worker frozen",
        "worker",
        "a worker stands still beyond its session, then goes on",
        freeze_worker,
        takes_s=20,
    ),
    Fault(
        "worker frozen in a checkpoint",
        "worker",
        "a worker stands still before step 7 beyond its session, then tries to commit",
        partial(freeze_worker_at, 6),
        takes_s=20,
    ),
    Fault(
        "workers come and go",
        "worker",
        "every 2 s a worker joins, leaves or is killed",
        partial(churn, 60),
        takes_s=75,
    ),
    Fault(
        "restores disturbed",
        "worker",
        "workers come and go while restores take seconds, the broker being 200 ms away",
        disturb_restores,
        takes_s=60,
    ),
    Fault(
        "clock jumps", "worker", "a worker joins whose clock jumps by days, back and forth", jump_clock, takes_s=15
    ),
    Fault("projector killed", "projector", "a projector is killed by kill -9", kill_projector, kills=True),
    *_killed_at("projector", "projection", "a batch", kill_projector_at),
    Fault(
        "projector frozen", "projector", "a projector stands still beyond its session", freeze_projector, takes_s=20
    ),
    Fault(
        "projector frozen in a batch",
        "projector",
        "a projector stands still before step 5 beyond its session, then tries to commit",
        partial(freeze_projector_at, 4),
        takes_s=30,
    ),
    Fault(
        "broker told to stop", "broker", "the broker gets a SIGTERM and is started again", stop_broker, takes_s=15
    ),
    Fault(
        "broker killed",
        "broker",
        "the broker is killed by kill -9 and started again",
        kill_broker,
        kills=True,
        takes_s=15,
    ),
    Fault(
        "broker down",
        "broker",
        "the broker is gone for 30 s",
        partial(keep_broker_down, 30),
        kills=True,
        takes_s=60,
    ),
    Fault(
        "broker disk full",
        "broker",
        "no file of the broker can grow, and it dies of it",
        fill_disk_of_broker,
        takes_s=20,
    ),
    Fault(
        "changelog compacted",
        "worker",
        "the changelog is compacted, and a worker killed",
        compact_changelog,
        kills=True,
        takes_s=40,
    ),
    Fault("lines cut", "lines", "all connections to the broker are cut, several times", cut_lines),
    Fault(
        "lines refused",
        "lines",
        "for up to two sessions nobody can connect to the broker",
        refuse_lines,
        takes_s=20,
    ),
    Fault(
        "lines slow",
        "lines",
        "for 10 s the broker is 200 ms away, either way",
        partial(delay_lines, 10),
        takes_s=20,
    ),
    Fault(
        "lines half open",
        "lines",
        "the open connections to the broker go dead without a word",
        half_open_lines,
        takes_s=60,
    ),
    Fault(
        "lines silent", "lines", "for longer than a session nothing reaches the broker", silence_lines, takes_s=60
    ),
    Fault(
        "EndTxn unanswered", "lines", "the broker ends a transaction and the reply is lost", lose_end_of_transaction
    ),
    Fault("sessions ended", "database", "Postgres ends sessions in the middle of a batch", end_sessions),
    Fault(
        "statement cancelled", "database", "statements are cancelled, as statement_timeout does", cancel_statements
    ),
    Fault("rows locked", "database", "somebody locks the read models for 5 s", partial(hold_lock, 5), takes_s=15),
    Fault(
        "rows locked long",
        "database",
        "somebody locks them beyond lock_timeout",
        partial(hold_lock, 18),
        takes_s=30,
    ),
    Fault("COMMIT unanswered", "database", "Postgres commits and the reply is lost", lose_commit_reply),
    Fault("database restarted", "database", "Postgres is stopped and started again", restart_database),
    Fault(
        "database killed", "database", "Postgres is killed by kill -9 and started again", kill_database, kills=True
    ),
    Fault(
        "database disk full",
        "database",
        "for 5 s no file of Postgres can grow",
        partial(fill_disk_of_database, 5),
        takes_s=15,
    ),
]


def fault_named(name: str) -> Fault:
    return next(fault for fault in FAULTS if fault.name == name)
