"""A worker whose evaluator raises at a record that holds POISON, with half a chunk in its memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NoReturn

from processor.app import AchievementsApp, run_app
from processor.evaluator.partition import Folded, PartitionEvaluator
from processor.logs import configure_logs
from processor.preflight import prepare
from processor.settings import read_settings
from schemas.records import Record
from schemas.topics import Names

POISON = "poison"


class Poisoned(PartitionEvaluator):
    def fold(self, topic: str, records: Sequence[Record]) -> Folded:
        for number, record in enumerate(records):
            if record.value is not None and POISON.encode() in record.value:
                super().fold(topic, records[: number + 1])
                raise ValueError("the evaluator has a bug")
        return super().fold(topic, records)


def main() -> NoReturn:
    settings = read_settings()
    configure_logs(settings.log_level)
    plan = asyncio.run(prepare(settings.kafka, Names(settings.namespace), settings.start_timeout_s))
    ready = plan.programs.ready(plan.programs.first)
    run_app(AchievementsApp(settings, plan, lambda number: Poisoned(ready, number, plan.partitions)))


if __name__ == "__main__":
    main()
