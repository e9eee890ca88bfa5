"""What a worker asks of the memory allocator."""

from __future__ import annotations

from broker.allocator import set_thresholds

TRIM_BYTES = 8 * 1024 * 1024
MMAP_BYTES = 2 * 1024 * 1024


def return_large_blocks() -> None:
    """Give batches and fetches back to the system as soon as they are freed, where the C library is glibc.

    Left alone, glibc takes the first freed block for a sign that more will come, and keeps up to 32 MB of each size
    in its heap: measured, a worker of 50,000 users holds a hundred MB more than it uses. Single batches stay in the
    heap all the same: mapped anew each time, they would cost the kernel a twentieth of the worker's CPU. One arena
    for all threads, of which only one runs Python at a time, keeps 30 MB less than one for each.
    """
    set_thresholds(trim_bytes=TRIM_BYTES, mmap_bytes=MMAP_BYTES, arenas_max=1)
