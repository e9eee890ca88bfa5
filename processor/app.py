"""The composition root of a worker: settings and a program in, a running Faust app out."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import faust
import structlog

from broker.catalogs import read_records
from processor.agents import add_agent
from processor.evaluator.partition import PartitionEvaluator
from processor.kafka.exit import EX_SOFTWARE, exit_now
from processor.kafka.following import FollowingAssignor
from processor.kafka.kafka_log import KafkaLog
from processor.kafka.ownership import Ownership
from processor.kafka.pace import Pace
from processor.kafka.partition import Evaluator
from processor.kafka.pins import require_pinned_versions
from processor.kafka.recovery import RecoveringTableManager
from processor.kafka.trailing import trail
from processor.kafka.transport import CHUNK_RECORDS, ChunkTransport
from processor.kafka.watchdog import Look, Watchdog
from processor.memory import return_large_blocks
from processor.preflight import Plan, prepare
from processor.profile import Profile
from processor.settings import ProcessorSettings
from processor.tables import UserStateTable, add_table
from processor.telemetry import Telemetry
from schemas.topics import Names

FETCH_BYTES = 1024 * 1024  # of one partition
HEARTBEATS_A_SESSION = 5
HEARTBEATS_UNTIL_WORD = 1.5
REBALANCE_TIMEOUT_S = 30.0
REQUEST_TIMEOUT_S = 40.0  # Faust wants it above the session timeout
INTERRUPTED = 130

log = structlog.get_logger(__name__)


class AchievementsApp(faust.App):  # type: ignore[misc]
    """Faust as the engine room: group, assignor, agent, table, services. The partitions are ours."""

    def __init__(self, settings: ProcessorSettings, plan: Plan, evaluator: Callable[[int], Evaluator]) -> None:
        names = Names(settings.namespace, follows=settings.follows)
        self.settings, self.partitions = settings, plan.partitions
        self.orders = names.replay_assignments
        self.sources = [*plan.program.sources, self.orders]
        self.copartitioned = frozenset(self.sources) - plan.program.repartitioned
        self.telemetry = Telemetry(Profile(settings.profile))
        self.ownership = Ownership(
            KafkaLog(settings.kafka),
            names,
            plan.programs,
            plan.partitions,
            evaluator,
            pace_of(settings),
            self.telemetry,
            self.leave,
            partial(read_records, settings.kafka, names),
        )
        self.telemetry.show(lambda: [*self.ownership.partitions.values()])
        super().__init__(names.processor, **faust_options(settings, plan.partitions))
        self.user_state = add_table(self, names.changelog, plan.partitions)
        add_agent(self)

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """None: nothing of a worker outlives it on disk."""

    def leave(self, why: str, *, code: int = EX_SOFTWARE) -> NoReturn:
        """End. A process whose member id was taken is fenced by the taker first; the next heartbeat says why."""
        if self.settings.member_id is not None and code == EX_SOFTWARE:
            time.sleep(HEARTBEATS_UNTIL_WORD * self.settings.session_timeout_s / HEARTBEATS_A_SESSION)
        exit_now(why, code=code)

    async def on_started(self) -> None:
        Watchdog(self.look, self.settings.watchdog_s).start()
        if self.settings.follows:
            self.add_future(trail(self.ownership, self.settings.kafka, Names(self.settings.follows).processor))
        await super().on_started()

    def look(self) -> Look:
        """What the watchdog judges. A partition that is assigned and not open yet counts as one offset behind."""
        ownership = self.ownership
        lags = [sum(each.lags.values()) if each.is_open else 1 for each in [*ownership.partitions.values()]]
        return Look(self.consumer._thread.is_stable_member, ownership.acquiring, sum(lags), ownership.progress)

    def _crash(self, reason: BaseException) -> None:
        """Every crash of a service of Faust's comes by here; on its own way out it can hang."""
        if self.should_stop:
            super()._crash(reason)
        else:
            exit_now(f"a service of Faust crashed: {reason!r}")

    async def on_stop(self) -> None:
        threading.Thread(target=self._stop_in_time, name="last-resort", daemon=True).start()
        await super().on_stop()

    def _stop_in_time(self) -> None:
        """Faust's threads can hang in a stop. What is committed is safe: go without them."""
        time.sleep(self.settings.stop_timeout_s)
        self.telemetry.profile.write()
        if self.ownership.is_released:
            os._exit(0)
        exit_now(f"not everything was committed within {self.settings.stop_timeout_s:g} s of being told to stop")


class SignalledWorker(faust.Worker):  # type: ignore[misc]
    """Faust's worker service; remembers that Ctrl-C ended it."""

    exit_code = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, quiet=True, override_logging=False, redirect_stdouts=False, **kwargs)
        self.spinner = None

    def _on_sigint(self) -> None:
        self.exit_code = INTERRUPTED
        super()._on_sigint()


def run_worker(settings: ProcessorSettings) -> NoReturn:
    """Run a worker until a signal. Raises: Precondition when it cannot start, SystemExit in the end."""
    signal.signal(signal.SIGTERM, _leave)  # until Faust's worker drains on it
    require_pinned_versions()
    return_large_blocks()
    plan = asyncio.run(
        prepare(settings.kafka, Names(settings.namespace, follows=settings.follows), settings.start_timeout_s)
    )
    run_app(AchievementsApp(settings, plan, evaluators(plan, settings)))


def evaluators(plan: Plan, settings: ProcessorSettings) -> Callable[[int], PartitionEvaluator]:
    """What makes the evaluator of a partition, with its share of the states that may be decoded."""
    ready, share = plan.programs.ready(plan.programs.first), max(1, settings.states_decoded // plan.partitions)
    return lambda number: PartitionEvaluator(ready, number, plan.partitions, share)


def _leave(*_: Any) -> NoReturn:
    raise SystemExit(0)


def run_app(app: AchievementsApp) -> NoReturn:
    """Run until a signal, and end with what it means. Raises: SystemExit; Precondition on a port that is taken."""
    log.info("metrics are served", port=app.telemetry.serve(app.settings.metrics_port))
    failed = False
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = SignalledWorker(app, loop=loop)
    try:
        worker.execute_from_commandline()
    except SystemExit as ended:
        failed = bool(ended.code)
    app.telemetry.profile.write()
    raise SystemExit(EX_SOFTWARE if failed else worker.exit_code)


def pace_of(settings: ProcessorSettings) -> Pace:
    return Pace(settings.checkpoint_ms / 1000, settings.checkpoint_backlog_ms / 1000, settings.checkpoint_records)


def faust_options(settings: ProcessorSettings, partitions: int) -> dict[str, Any]:
    """What Faust is told. Its own producer, stores, web server and commits stay idle."""
    session_s = settings.session_timeout_s
    return {
        "broker": [f"kafka://{server.strip()}" for server in settings.kafka.split(",")],
        "TableManager": RecoveringTableManager,
        "PartitionAssignor": FollowingAssignor,
        "Table": UserStateTable,
        "agent_supervisor": "mode.CrashingSupervisor",
        "processing_guarantee": "at_least_once",  # its exactly_once leaves outputs outside of the transaction
        "key_serializer": "raw",
        "value_serializer": "raw",
        "store": "memory://",
        "table_standby_replicas": 0,
        "topic_partitions": partitions,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "stream_wait_empty": True,
        "consumer_auto_offset_reset": "earliest",
        "consumer_group_instance_id": settings.member_id,
        "consumer_max_fetch_size": FETCH_BYTES,
        "broker_max_poll_records": CHUNK_RECORDS,
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": session_s / HEARTBEATS_A_SESSION,
        "broker_rebalance_timeout": REBALANCE_TIMEOUT_S,
        "broker_request_timeout": max(REQUEST_TIMEOUT_S, session_s + 1),
    }
