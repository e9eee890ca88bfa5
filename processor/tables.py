"""The table of user states. Its partitions live in `processor.kafka`; Faust knows its name, and may read it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import faust
from faust.stores.base import Store

from schemas.topics import partition_of

NAME = "user-state"


class OwnedStore(Store):  # type: ignore[misc]
    """A view of the owned partitions: user -> state in wire form. Only events change it."""

    def get(self, user: bytes, default: bytes | None = None) -> bytes | None:
        partition = self.app.ownership.partitions.get(partition_of(user, self.app.partitions))
        state: bytes | None = partition and partition.evaluator.get(user)
        return default if state is None else state

    def __contains__(self, user: object) -> bool:
        return isinstance(user, bytes) and self.get(user) is not None

    def __getitem__(self, user: bytes) -> bytes:
        state = self.get(user)
        if state is None:
            raise KeyError(user)
        return state

    def __len__(self) -> int:
        return sum(partition.users for partition in self.app.ownership.partitions.values())

    def __iter__(self) -> Iterator[bytes]:
        raise TypeError("the user states are not listed: read the changelog or the projections instead")

    def __setitem__(self, user: bytes, state: bytes) -> None:
        raise TypeError("user states change through events only")

    def __delitem__(self, user: bytes) -> None:
        raise TypeError("user states change through events only")

    # What Faust's abstract store asks for and an own recovery has no use for.
    def apply_changelog_batch(self, batch: Any, to_key: Any, to_value: Any) -> None: ...
    def reset_state(self) -> None: ...
    async def backup_partition(self, tp: Any, flush: bool = True, purge: bool = False, keep: int = 1) -> None: ...
    def restore_backup(self, tp: Any, latest: bool = True, backup_id: int = 0) -> None: ...


class UserStateTable(faust.Table):  # type: ignore[misc]
    """A Faust table, so that the assignor keeps its changelog with the sources."""

    def _new_store(self) -> OwnedStore:
        return OwnedStore("owned://", self.app, self)


def add_table(app: faust.App, changelog: str, partitions: int) -> UserStateTable:
    topic = app.topic(changelog, key_type=bytes, value_type=bytes, partitions=partitions)
    table: UserStateTable = app.Table(
        NAME, key_type=bytes, value_type=bytes, partitions=partitions, changelog_topic=topic
    )
    return table
