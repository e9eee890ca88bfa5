"""A TCP proxy that misbehaves on demand: it cuts, delays, falls silent, or loses one certain reply."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from cli.faults.loop import BackgroundLoop
from cli.stack.ports import LOCALHOST

PIECE_BYTES = 64 * 1024
PIECES_UNDER_WAY_MAX = 256  # of one direction, while they are delayed
END_TXN = 26  # Kafka's number of the request
FRAME = struct.Struct(">i")
REQUEST_HEAD = struct.Struct(">hhi")  # api key, api version, correlation id
COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"  # Postgres' simple query, which psycopg sends by itself
COMMITTED = b"COMMIT\x00"


class Replies(Protocol):
    """Watches one connection for the reply that could be lost."""

    def asked(self, piece: bytes) -> None: ...
    def is_in(self, piece: bytes) -> bool: ...


class EndTxnReplies:
    """Kafka's answers to EndTxn: reads of each request and reply the head alone."""

    def __init__(self) -> None:
        self._requests, self._replies = Frames(), Frames()
        self._awaited: set[int] = set()

    def asked(self, piece: bytes) -> None:
        for frame in self._requests.of(piece):
            if len(frame) >= REQUEST_HEAD.size:
                api_key, _, correlation = REQUEST_HEAD.unpack_from(frame)
                if api_key == END_TXN:
                    self._awaited.add(correlation)

    def is_in(self, piece: bytes) -> bool:
        answered = {FRAME.unpack_from(frame)[0] for frame in self._replies.of(piece) if len(frame) >= FRAME.size}
        found = bool(answered & self._awaited)
        self._awaited -= answered
        return found


class CommitReplies:
    """Postgres' answers to COMMIT, each of which travels alone: its asker waits for it."""

    def __init__(self) -> None:
        self._awaited = False

    def asked(self, piece: bytes) -> None:
        self._awaited = piece.endswith(COMMIT)

    def is_in(self, piece: bytes) -> bool:
        return self._awaited and COMMITTED in piece


class Frames:
    """The beginnings of Kafka's frames in a stream, each as soon as it has come."""

    HEAD = REQUEST_HEAD.size

    def __init__(self) -> None:
        self._begun = b""
        self._skip = 0

    def of(self, piece: bytes) -> Iterator[bytes]:
        data = self._begun + piece[self._skip :]
        self._skip = max(0, self._skip - len(piece))
        place = 0
        while len(data) - place >= FRAME.size + self.HEAD or self._is_whole(data, place):
            (length,) = FRAME.unpack_from(data, place)
            start = place + FRAME.size
            yield data[start : start + min(length, self.HEAD)]
            place = start + length
        self._begun = data[place:]
        self._skip += max(0, place - len(data))

    @staticmethod
    def _is_whole(data: bytes, place: int) -> bool:
        if len(data) - place < FRAME.size:
            return False
        length: int = FRAME.unpack_from(data, place)[0]
        return length <= len(data) - place - FRAME.size


class Proxy:
    """Listens from `start` on; `upstream` may be told later. All methods may be called from any thread."""

    def __init__(self, loop: BackgroundLoop, replies: Callable[[], Replies]) -> None:
        self._loop = loop
        self._replies = replies
        self._lines: set[Line] = set()
        self.upstream: tuple[str, int] | None = None
        self.delay_s = 0.0
        self.silent = False
        self.refusing = False
        self.losses_wanted = 0
        self.lost = 0
        self.port = loop.run(self._listen())

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, LOCALHOST, 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(self, self._replies())
        self._lines.add(line)
        try:
            await line.carry(reader, writer)
        finally:
            self._lines.discard(line)

    def cut(self) -> int:
        """End all connections at once, without a word. Returns how many."""

        async def cut() -> int:
            lines = list(self._lines)
            for line in lines:
                line.cut()
            return len(lines)

        return self._loop.run(cut())

    def half_open(self) -> int:
        """From here on nothing comes through the connections that are open, nobody being told. Returns how many."""
        lines = list(self._lines)
        for line in lines:
            line.silent = True
        return len(lines)

    def close(self) -> None:
        async def close() -> None:
            self._server.close()

        self._loop.run(close())
        self.cut()


class Line:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, replies: Replies) -> None:
        self._proxy, self._replies = proxy, replies
        self._writers: list[asyncio.StreamWriter] = []
        self.silent = False

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until either side ends it."""
        self._writers.append(writer)
        try:
            if self._proxy.refusing or self._proxy.upstream is None:
                return
            server_reader, server_writer = await asyncio.open_connection(*self._proxy.upstream)
            self._writers.append(server_writer)
            ways = [
                asyncio.ensure_future(self._pass_on(reader, server_writer, self._ask)),
                asyncio.ensure_future(self._pass_on(server_reader, writer, self._answer)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            return
        finally:
            self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _ask(self, piece: bytes) -> bool:
        self._replies.asked(piece)
        return True

    def _answer(self, piece: bytes) -> bool:
        """Whether the piece may pass; the one with the reply that is to be lost takes the connection with it."""
        if not self._replies.is_in(piece) or not self._proxy.losses_wanted:
            return True
        self._proxy.losses_wanted -= 1
        self._proxy.lost += 1
        return False

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may_pass: Callable[[bytes], bool]
    ) -> None:
        under_way = UnderWay(writer)
        sending = asyncio.ensure_future(under_way.send())
        try:
            while piece := await reader.read(PIECE_BYTES):
                self.silent |= self._proxy.silent
                if self.silent:
                    continue  # it looks sent, and nobody gets it
                if not may_pass(piece):
                    return
                await under_way.put(piece, self._proxy.delay_s)
        finally:
            sending.cancel()


class UnderWay:
    """Pieces on a long way: many at a time, each as late as it should be, in order."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._moved = asyncio.Condition()

    async def put(self, piece: bytes, delay_s: float) -> None:
        async with self._moved:
            await self._moved.wait_for(lambda: len(self._pieces) < PIECES_UNDER_WAY_MAX)
            self._pieces.append((time.monotonic() + delay_s, piece))
            self._moved.notify_all()

    async def send(self) -> None:
        while True:
            async with self._moved:
                await self._moved.wait_for(lambda: bool(self._pieces))
                due, piece = self._pieces.popleft()
                self._moved.notify_all()
            if (wait_s := due - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            self._writer.write(piece)
            await self._writer.drain()
