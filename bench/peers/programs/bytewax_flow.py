"""The small job with Bytewax. From the environment: PEER_BROKERS, PEER_SOURCE, PEER_SINK."""

from __future__ import annotations

import json
import os
from typing import Any

import bytewax.operators as op  # in an environment of its own
import msgspec
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow

COUNTERS = {"song_released": "songs_released", "project_created": "projects_created", "login": "logins"}
THRESHOLDS = {1, 5, 10, 25, 50, 100}


class Data(msgspec.Struct):
    artist: str


class Activity(msgspec.Struct):
    id: str
    type: str
    subject: str
    time: str
    data: Data


decode = msgspec.json.Decoder(Activity).decode


def parse(message: Any) -> tuple[str, Activity]:
    event = decode(message.value)
    return event.subject, event


def fold(state: dict[str, Any] | None, event: Activity) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    state = state or {"artists": set()}
    metric = COUNTERS.get(event.type)
    if metric:
        state[metric] = value = state.get(metric, 0) + 1
    elif event.type == "song_played" and event.data.artist not in state["artists"]:
        metric = "artists"
        state["artists"].add(event.data.artist)
        value = len(state["artists"])
    else:
        return state, []
    if value not in THRESHOLDS:
        return state, []
    unlock = {
        "type": "achievement_unlocked",
        "user": event.subject,
        "achievement": f"{metric}_{value}",
        "earned_at": event.time,
        "event_id": event.id,
    }
    return state, [unlock]


def message(unlocked: tuple[str, dict[str, Any]]) -> Any:
    user, unlock = unlocked
    return KafkaSinkMessage(user.encode(), json.dumps(unlock).encode())


brokers = [os.environ["PEER_BROKERS"]]
unqueued = {"fetch.queue.backoff.ms": "5"}  # the default of 1000 idles a fast reader
flow = Dataflow("achievements")
activity = op.input(
    "in", flow, KafkaSource(brokers, [os.environ["PEER_SOURCE"]], batch_size=1000, add_config=unqueued)
)
unlocks = op.stateful_flat_map("fold", op.map("parse", activity, parse), fold)
op.output("out", op.map("message", unlocks, message), KafkaSink(brokers, os.environ["PEER_SINK"]))
