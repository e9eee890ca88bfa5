"""Which line goes to which topic."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cli.event_files import PIECE_LINES, in_pieces
from cli.publishing import Sorting, narrowed
from processor.evaluator.compile import compile_catalog
from schemas.catalog import read_catalog
from schemas.program import Ledger, Program

READ = """
catalog: {name}
version: 1
events: {{read: {{topic: {topic}, data: {{book: string}}}}, {own}: {{topic: {topic}}}}}
metrics: {{books: {{count: read}}}}
achievements: [{{key: reader, name: Reader, when: books >= 1}}]
"""


def program(*topics: str) -> Program:
    """Every topic carries `read` and a type of its own, in a catalog of its own."""
    ledger, catalogs = Ledger(), []
    for topic in topics:
        text = READ.format(name=f"{topic}_catalog", topic=topic, own=f"{topic}_opened")
        catalog, ledger = compile_catalog(read_catalog(text, topic), ledger)
        catalogs.append(catalog)
    return Program(catalogs=catalogs, ledger=ledger, derived="derived")


def event(kind: str, **attributes: Any) -> bytes:
    envelope = {"specversion": "1.0", "id": "1", "source": "t", "subject": "ann", "time": "2026-01-02T03:04:05Z"}
    return json.dumps(envelope | {"type": kind, "data": {"book": "a"}} | attributes).encode()


def sorted_out(lines: list[bytes], *topics: str, topic: str | None = None) -> tuple[list[str], Sorting]:
    """The topics the lines went to, and the account of all of them."""
    sorting = Sorting(program(*topics), topic, lambda verdict: None)
    return [record.topic for record in sorting.records(lines)], sorting


def test_a_record_carries_the_user_as_key_and_the_line_as_it_is():
    sorting = Sorting(program("books"), None, lambda verdict: None)

    (record,) = sorting.records([b" " + event("read") + b"\r\n"])

    assert (record.key, record.value) == (b"ann", event("read"))


def test_a_type_goes_to_the_topic_that_carries_it():
    assert sorted_out([event("books_opened"), event("papers_opened")], "books", "papers")[0] == ["books", "papers"]


def test_a_type_on_several_topics_is_refused_until_somebody_says_which():
    assert sorted_out([event("read")], "books", "papers")[1].published.bad_lines == 1
    assert sorted_out([event("read", topic="papers")], "books", "papers")[0] == ["papers"]
    assert sorted_out([event("read")], "books", "papers", topic="papers")[0] == ["papers"]


def test_a_type_of_no_catalog_goes_to_the_only_topic_there_is():
    """The processor counts and skips it; publishers send more than catalogs declare."""
    assert sorted_out([event("slept")], "books")[0] == ["books"]


def test_a_type_of_no_catalog_stays_out_where_several_topics_might_be_meant():
    topics, sorting = sorted_out([event("slept")], "books", "papers")

    assert (topics, sorting.published.unplaced) == ([], 1)


def test_an_event_that_names_another_topic_is_not_put_on_the_only_one():
    topics, sorting = sorted_out([event("read", topic="elsewhere")], "books")

    assert (topics, sorting.published.unplaced) == ([], 1)


def test_blank_lines_count_as_lines_and_as_nothing_else():
    heard = []
    sorting = Sorting(program("books"), None, heard.append)

    records = list(sorting.records([b"\n", event("read"), b"  \n", b"nonsense"]))

    assert len(records) == 1
    assert [(verdict.number, verdict.fate) for verdict in heard] == [(2, "applied"), (4, "refused")]


def test_one_topic_sees_only_its_own_types():
    seen = narrowed(program("books", "papers"), "books")

    assert {event.type for catalog in seen.catalogs for event in catalog.events} == {"read", "books_opened"}


@pytest.mark.parametrize("count", [0, 1, PIECE_LINES, PIECE_LINES + 1])
async def test_pieces_hold_every_line_once(count):
    lines = [b"%d" % number for number in range(count)]

    pieces = [piece async for piece in in_pieces(lines)]

    assert [line for piece in pieces for line in piece] == lines
    assert all(0 < len(piece) <= PIECE_LINES for piece in pieces)
