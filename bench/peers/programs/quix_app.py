"""The small job with Quix Streams. Arguments: brokers, source, sink, consumer group, state folder."""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application  # in an environment of its own

COUNTERS = {"song_released": "songs_released", "project_created": "projects_created", "login": "logins"}
THRESHOLDS = {1, 5, 10, 25, 50, 100}


def fold(event: dict[str, Any], state: Any) -> list[dict[str, Any]]:
    metric = COUNTERS.get(event["type"])
    if metric:
        value = state.get(metric, 0) + 1
        state.set(metric, value)
    elif event["type"] == "song_played":
        metric, seen = "artists", state.get("artists", [])
        if event["data"]["artist"] in seen:
            return []
        seen.append(event["data"]["artist"])
        value = len(seen)
        state.set("artists", seen)
    else:
        return []
    if value not in THRESHOLDS:
        return []
    return [
        {
            "type": "achievement_unlocked",
            "user": event["subject"],
            "achievement": f"{metric}_{value}",
            "earned_at": event["time"],
            "event_id": event["id"],
        }
    ]


def main(brokers: str, source: str, sink: str, group: str, folder: str) -> None:
    app = Application(
        broker_address=brokers,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=folder,
        loglevel="WARNING",
        consumer_extra_config={"fetch.queue.backoff.ms": 5},  # the default of 1000 idles a fast reader
    )
    activity = app.topic(source, key_deserializer="str", value_deserializer="json")
    unlocks = app.topic(sink, key_serializer="str", value_serializer="json")
    app.dataframe(activity).apply(fold, stateful=True, expand=True).to_topic(unlocks)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
