"""A notification service that dies: it claims, delivers into a file, and now and then is killed before it answers.

    python -m cli.faults.claimer FILE DIES_EVERY

A line of the file is the id of a notification that was delivered; `early` stands behind one whose award could not
be seen. Every DIES_EVERY-th claim it kills itself between delivery and acknowledgement; 0 is never.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from psycopg import Connection

from cli.settings import Settings
from projections.database import connect
from projections.notification_queue import Claim, LeaseLost, acknowledge, claim

CLAIMED = 50
LEASE_S = 4.0
IDLE_S = 0.2
EARLY = "early"

UNSEEN = b"""
select notification.id::text
from notification
cross join lateral (
    select (metadata ->> 'outcome_id')::uuid as outcome, (metadata ->> 'award_id')::uuid as ended
) as told
where notification.id = any(%s)
    and not exists (select from user_achievement where id = told.outcome)
    and not exists (select from user_achievement where id = told.ended and revoked_at is not null)
    and not exists (select from user_level_reached where id = told.outcome)
    and not exists (select from user_challenge where id = told.outcome)
    and not exists (select from replay_completed where id = told.outcome)
"""


class Delivered(NamedTuple):
    """What claimers wrote down."""

    notifications: Counter[str]
    early: list[str]


def deliver_always(connection: Connection, file: Path, dies_every: int) -> None:
    claims = 0
    while True:
        claimed = claim(connection, CLAIMED, LEASE_S)
        if not claimed.deliveries:
            time.sleep(IDLE_S)
            continue
        claims += 1
        write_down(file, claimed, unseen(connection, claimed))
        if dies_every and claims % dies_every == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        with suppress(LeaseLost):  # this process stood still, and somebody else delivered them too
            acknowledge(connection, claimed.lease, [each.notification_id for each in claimed.deliveries])


def unseen(connection: Connection, claimed: Claim) -> set[str]:
    """The notifications whose award nobody can see yet."""
    ids = [each.notification_id for each in claimed.deliveries]
    return {id for (id,) in connection.execute(UNSEEN, [ids]).fetchall()}


def write_down(file: Path, claimed: Claim, early: set[str]) -> None:
    """One write, so that a line is there whole or not at all."""
    ids = [str(each.notification_id) for each in claimed.deliveries]
    lines = [f"{id} {EARLY}\n" if id in early else f"{id}\n" for id in ids]
    with file.open("a") as out:
        out.write("".join(lines))


def delivered(files: Sequence[Path]) -> Delivered:
    lines = [line.split() for file in files if file.exists() for line in file.read_text().splitlines()]
    return Delivered(Counter(line[0] for line in lines), [line[0] for line in lines if EARLY in line])


def main() -> None:
    file, dies_every = sys.argv[1:]
    with connect(Settings().database) as connection:
        deliver_always(connection, Path(file), int(dies_every))


if __name__ == "__main__":
    main()
