"""The one way out once memory may be ahead of the log."""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import NoReturn

import structlog

EX_SOFTWARE = 70
LAST_WORD_S = 2.0

log = structlog.get_logger(__name__)


def exit_now(why: str, *, code: int = EX_SOFTWARE) -> NoReturn:
    """End the process at once, with one clear line. A supervisor starts it again.

    What was folded and not yet committed exists only here. Nothing may be saved from it: the next owner restores
    what is durable and folds the rest again. So no cleaning up, and no waiting: not even for
    a log that nobody reads.
    """
    last_word = threading.Timer(LAST_WORD_S, os._exit, [code])
    last_word.daemon = True
    last_word.start()
    log.critical("the worker stops: " + why, exit_code=code)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)
