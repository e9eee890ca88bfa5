"""On PYTHONPATH this makes the wall clock of a Python process jump every second, by up to two days either way.

Only `time.time`: what is asked of the clock in C, as by `datetime.now`, stays right.
"""

import random
import time

JUMP_S_MAX = 2 * 24 * 3600

_true = time.time


def jumping() -> float:
    now = _true()
    return now + random.Random(int(now)).uniform(-JUMP_S_MAX, JUMP_S_MAX)


time.time = jumping
