"""Runs between the supervisor and a child: ties the child's life to the supervisor's, then becomes the child.

Stands alone (standard library, run by path) so that it starts in milliseconds. Its first argument is JSON:

    supervisor  the pid that must be our parent
    signal      what the child gets when the supervisor dies
    user        run as this uid and gid, or null
    core        run on this core only, or null
    pipe        read end of the supervisor's pipe: watch it for its end, instead of asking the Linux kernel
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
from types import FrameType
from typing import Any

PR_SET_PDEATHSIG = 1
WATCH_SECONDS = 0.2
SUPERVISOR_IS_GONE = 75


def become(user: int) -> None:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)


def die_with_parent(supervisor: int, number: int) -> None:
    """Ask the kernel for `number` when our parent ends. Comes after `become`: a change of user forgets it."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != supervisor:  # it ended before we asked
        sys.exit(SUPERVISOR_IS_GONE)


def watch(argv: list[str], pipe: int, number: int) -> int:
    """Run argv as our own child until it ends or the pipe does, and hand on what we are told to stop with."""
    child = os.posix_spawnp(argv[0], argv, os.environ)

    def hand_on(received: int, frame: FrameType | None) -> None:
        os.kill(child, received)

    for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(stop, hand_on)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if select.select([pipe], [], [], WATCH_SECONDS)[0]:
            os.kill(child, number)
            os.waitpid(child, 0)
            return SUPERVISOR_IS_GONE


def main() -> None:
    order: dict[str, Any] = json.loads(sys.argv[1])
    argv = sys.argv[2:]
    if order["core"] is not None:
        os.sched_setaffinity(0, {order["core"]})
    if order["user"] is not None:
        become(order["user"])
    if order["pipe"] is not None:
        code = watch(argv, order["pipe"], order["signal"])
        sys.exit(code if code >= 0 else 128 - code)
    die_with_parent(order["supervisor"], order["signal"])
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
