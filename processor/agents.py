"""The agent: folds the chunks of all source topics."""

from __future__ import annotations

from typing import Any

CHUNKS_QUEUED_MAX = 8


def add_agent(app: Any) -> None:
    """One agent and one chunk at a time: the order within a partition is what the fold rests on."""
    chunks = app.topic(
        *app.sources,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        maxsize=CHUNKS_QUEUED_MAX,
        acks=False,  # folded is not committed; the checkpoints commit
    )

    async def fold_chunks(stream: Any) -> None:
        async for event in stream.events():
            await app.ownership.fold(event.value)

    app.agent(chunks, name="fold_chunks", concurrency=1)(fold_chunks)
