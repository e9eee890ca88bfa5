"""What a process asks of the memory allocator, where the C library is glibc."""

from __future__ import annotations

import ctypes
import sys

# Source: mallopt(3)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8


def set_thresholds(*, trim_bytes: int, mmap_bytes: int, arenas_max: int | None = None) -> None:
    """From how many bytes on free memory goes back to the system, and a block is mapped by itself."""
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    library.mallopt(M_MMAP_THRESHOLD, mmap_bytes)
    library.mallopt(M_TRIM_THRESHOLD, trim_bytes)
    if arenas_max is not None:
        library.mallopt(M_ARENA_MAX, arenas_max)
