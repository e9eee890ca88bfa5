"""The proxy that misbehaves: what passes, what does not, and which replies it can tell from the others."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.faults.loop import BackgroundLoop
from cli.faults.proxy import CommitReplies, EndTxnReplies, Proxy, Replies

WAIT_S = 120.0
PRODUCE, END_TXN = 0, 26


def request(api_key: int, correlation: int, size: int = 40) -> bytes:
    body = struct.pack(">hhi", api_key, 1, correlation) + b"x" * size
    return struct.pack(">i", len(body)) + body


def reply(correlation: int, size: int = 2) -> bytes:
    body = struct.pack(">i", correlation) + b"y" * size
    return struct.pack(">i", len(body)) + body


def pieces(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return (data[start:end] for start, end in pairwise(places))


@given(
    requests=st.lists(st.tuples(st.sampled_from([PRODUCE, END_TXN]), st.integers(0, 200)), min_size=1, max_size=8),
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    reply_size=st.integers(0, 60),
)
def test_replies_to_end_txn_are_told_from_others_however_the_stream_is_cut(
    requests: list[tuple[int, int]], cuts: list[int], reply_size: int
) -> None:
    replies = EndTxnReplies()
    asked = b"".join(request(key, number, size) for number, (key, size) in enumerate(requests))
    answered = b"".join(reply(number, reply_size) for number in range(len(requests)))

    for piece in pieces(asked, cuts):
        replies.asked(piece)
    found = sum(replies.is_in(piece) for piece in pieces(answered, cuts))

    wanted = sum(key == END_TXN for key, _ in requests)
    assert bool(found) == bool(wanted)
    assert found <= wanted


def test_the_reply_to_end_txn_is_the_one_of_its_correlation() -> None:
    replies = EndTxnReplies()
    for number, key in enumerate([PRODUCE, END_TXN, PRODUCE]):
        replies.asked(request(key, number))

    assert [replies.is_in(reply(number)) for number in range(3)] == [False, True, False]


def test_the_reply_to_commit_is_no_other_statements() -> None:
    replies = CommitReplies()
    done = b"C\x00\x00\x00\x0bCOMMIT\x00Z\x00\x00\x00\x05I"

    replies.asked(b"Q\x00\x00\x00\x0dselect 1\x00")
    assert not replies.is_in(b"C\x00\x00\x00\x0dSELECT 1\x00")
    replies.asked(b"Q\x00\x00\x00\x0bCOMMIT\x00")
    assert replies.is_in(done)


class Echo:
    """A server that says everything again."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._server.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=[connection], daemon=True).start()

    @staticmethod
    def _echo(connection: socket.socket) -> None:
        with connection:
            try:
                while piece := connection.recv(4096):
                    connection.sendall(piece)
            except OSError:
                return

    def close(self) -> None:
        self._server.close()


class EveryReply(Replies):
    def asked(self, piece: bytes) -> None: ...

    def is_in(self, piece: bytes) -> bool:
        return True


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    with BackgroundLoop() as loop:
        proxy = Proxy(loop, EveryReply)
        proxy.upstream = echo.address
        yield proxy
        proxy.close()
    echo.close()


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=WAIT_S)


def said_again(client: socket.socket, what: bytes) -> bytes:
    client.sendall(what)
    return client.recv(4096)


def is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_what_is_sent_arrives(proxy: Proxy) -> None:
    with connected(proxy) as client:
        assert said_again(client, b"hello") == b"hello"


def test_a_cut_ends_every_connection_and_new_ones_work(proxy: Proxy) -> None:
    with connected(proxy) as client, connected(proxy) as other:
        assert said_again(client, b"a") + said_again(other, b"b") == b"ab"
        assert proxy.cut() == 2
        assert is_ended(client)
        assert is_ended(other)
    with connected(proxy) as again:
        assert said_again(again, b"c") == b"c"


def test_a_delay_comes_on_top_in_each_direction(proxy: Proxy) -> None:
    proxy.delay_s = 0.1
    with connected(proxy) as client:
        began = time.monotonic()
        assert said_again(client, b"slow") == b"slow"
        assert time.monotonic() - began >= 2 * proxy.delay_s


def test_a_half_open_connection_stays_open_and_silent_and_a_new_one_works(proxy: Proxy) -> None:
    with connected(proxy) as client:
        assert said_again(client, b"a") == b"a"
        proxy.half_open()
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            said_again(client, b"lost")
        with connected(proxy) as again:
            assert said_again(again, b"b") == b"b"


def test_a_lost_reply_takes_its_connection_with_it_once(proxy: Proxy) -> None:
    proxy.losses_wanted = 1
    with connected(proxy) as client:
        client.sendall(b"commit")
        assert is_ended(client)
    assert proxy.lost == 1
    with connected(proxy) as again:
        assert said_again(again, b"b") == b"b"


def test_a_refusing_proxy_lets_nobody_in(proxy: Proxy) -> None:
    proxy.refusing = True
    with connected(proxy) as client:
        assert is_ended(client)
