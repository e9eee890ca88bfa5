"""The lines of a file of events, in pieces: a thousand from a file, from a pipe whatever has come."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator, Iterable
from itertools import islice

from cli.events import STDIN, read_lines

PIECE_LINES = 1000
PIECE_BYTES = 256 * 1024

Lines = list[bytes]


def lines_of(file: str) -> AsyncIterator[Lines]:
    """Raises: LaurelError when the file cannot be read."""
    live = file == STDIN and not stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode)
    return _arriving() if live else in_pieces(read_lines(file))


async def in_pieces(lines: Iterable[bytes]) -> AsyncIterator[Lines]:
    """Lines that are there already. Between pieces others have their turn: acknowledgements, a live view."""
    rest = iter(lines)
    while piece := list(islice(rest, PIECE_LINES)):
        yield piece
        await asyncio.sleep(0)


async def _arriving() -> AsyncIterator[Lines]:
    """Read without a thread: one that waits for stdin would outlive Ctrl-C."""
    reader = asyncio.StreamReader(limit=PIECE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    rest = b""
    while piece := await reader.read(PIECE_BYTES):
        *lines, rest = (rest + piece).split(b"\n")
        yield lines
    if rest:
        yield [rest]
