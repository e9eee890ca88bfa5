"""The catalogs topic: one chain of versions, whoever publishes."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from broker.catalogs import Submission, publish, read_program, read_records, submit, submit_record
from broker.connections import producer
from broker.reading import read_to_end
from broker.topics import create_topics, wanted_topics
from processor.evaluator.compile import compile_catalog
from processor.evaluator.programs import Programs, versions_of
from schemas.errors import BadCatalog, Precondition
from schemas.replays import Publish, decode_order
from schemas.topics import Names

pytestmark = pytest.mark.server

PARTITIONS = 2
SONGS = """
catalog: {catalog}
version: {version}
events:
  song_released: {{topic: {catalog}.activity, data: {{song_id: string, artist: string?}}}}
metrics:
  released: {{count: song_released}}
{more}
achievements:
  - {{key: first_release, name: First Release, when: released >= {at}}}
"""
ARTISTS = "  artists: {distinct: song_released, by: data.artist}"


def text(catalog: str = "songs", version: int = 1, at: int = 1, more: str = "") -> str:
    return SONGS.format(catalog=catalog, version=version, at=at, more=more)


@pytest.fixture
async def names(servers, namespace) -> Names:
    """A namespace with its topics."""
    names = Names(namespace)
    await create_topics(servers.kafka, wanted_topics(names, [], PARTITIONS))
    return names


async def submitted(servers, names, content: str, **options) -> Submission:
    return await submit(servers.kafka, names, content, "songs.yaml", compile_catalog, **options)


async def test_a_published_catalog_is_what_processes_run(servers, names):
    record = await publish(servers.kafka, names, text(), "songs.yaml", compile_catalog)

    program = await read_program(servers.kafka, names)

    assert program.catalogs == [record.program]
    assert program.ledger == record.ledger
    assert program.derived == names.derived


async def test_publishing_the_same_again_is_no_new_version(servers, names):
    first = await submitted(servers, names, text())

    second = await submitted(servers, names, text())

    assert (first.fresh, second.fresh) == (True, False)
    assert second.record == first.record
    assert len(await read_records(servers.kafka, names)) == 1


async def test_other_content_under_a_published_version_is_refused(servers, names):
    await submitted(servers, names, text(at=1))

    with pytest.raises(
        BadCatalog, match=r"version 1 of catalog 'songs' is published with other content.*version: 2"
    ):
        await submitted(servers, names, text(at=2))


async def test_a_version_behind_the_running_one_is_refused(servers, names):
    await submitted(servers, names, text(version=3))

    with pytest.raises(BadCatalog, match="version 2 of catalog 'songs' lies behind version 3"):
        await submitted(servers, names, text(version=2))


async def test_the_highest_version_of_every_catalog_runs_under_one_numbering(servers, names):
    await submitted(servers, names, text("songs"))
    await submitted(servers, names, text("poems"))
    await submitted(servers, names, text("songs", version=2, at=5))

    program = await read_program(servers.kafka, names)

    assert [(each.catalog, each.version) for each in program.catalogs] == [("poems", 1), ("songs", 2)]
    slots = [metric.slot for each in program.catalogs for metric in each.metrics]
    assert len(set(slots)) == len(slots)


async def test_publishers_at_the_same_moment_leave_one_chain(servers, names):
    """Each compiles against the ledger of the one before: no number is given twice."""
    catalogs = ["songs", "poems", "plays"]

    await asyncio.gather(*(submitted(servers, names, text(catalog)) for catalog in catalogs))

    records = await read_records(servers.kafka, names)
    assert sorted(record.catalog for record in records) == sorted(catalogs)
    for before, after in pairwise(records):
        assert after.ledger.slots[: len(before.ledger.slots)] == before.ledger.slots
        assert before.ledger.metrics.items() < after.ledger.metrics.items()


async def test_what_would_start_without_its_past_asks_for_the_word(servers, names):
    await submitted(servers, names, text())
    await somebody_has_a_state(servers, names)

    with pytest.raises(Precondition, match=r"counts something new \(artists\).*laurel replay start.*--from-now"):
        await submitted(servers, names, text(version=2, more=ARTISTS))
    assert (await submitted(servers, names, text(version=2, more=ARTISTS), from_now=True)).fresh


async def orders(servers, names: Names) -> list[tuple[int, object]]:
    places = [(names.replay_assignments, partition) for partition in range(PARTITIONS)]
    batches = [batch async for batch in read_to_end(servers.kafka, places)]
    return [(batch.partition, decode_order(record.value)) for batch in batches for record in batch.records]


async def test_every_partition_is_told_of_a_further_version_and_of_the_first_none(servers, names):
    await submitted(servers, names, text())
    assert await orders(servers, names) == []

    await submitted(servers, names, text(version=2, at=5))
    await submitted(servers, names, text("poems"))
    await submitted(servers, names, text("poems"))

    told = [Publish(catalogs={"songs": 2}), Publish(catalogs={"poems": 1})]
    assert sorted(await orders(servers, names), key=str) == sorted(
        ((partition, order) for partition in range(PARTITIONS) for order in told), key=str
    )


async def test_a_version_for_a_replay_is_there_for_whoever_is_told_and_nobody_is(servers, names):
    await submitted(servers, names, text())
    await somebody_has_a_state(servers, names)

    made = await submit_record(servers.kafka, names, text(version=2, more=ARTISTS), "songs.yaml", compile_catalog)

    assert (made.fresh, made.record.announced) == (True, False)
    assert await orders(servers, names) == []
    programs = Programs(await read_program(servers.kafka, names), await read_records(servers.kafka, names))
    assert (programs.first, versions_of(programs.newest)) == ({"songs": 1}, {"songs": 2})


async def test_a_version_that_a_replay_left_may_be_told_to_begin_from_now(servers, names):
    await submitted(servers, names, text())
    await submit_record(servers.kafka, names, text(version=2, more=ARTISTS), "songs.yaml", compile_catalog)

    again = await submitted(servers, names, text(version=2, more=ARTISTS))
    from_now = await submitted(servers, names, text(version=2, more=ARTISTS), from_now=True)

    assert (again.fresh, from_now.fresh) == (False, True)
    told = Publish(catalogs={"songs": 2}, from_now=True)
    assert sorted(await orders(servers, names)) == [(partition, told) for partition in range(PARTITIONS)]


async def test_a_version_whose_topic_is_not_there_is_refused_where_workers_would_end_for_it(servers, names):
    await submitted(servers, names, text())
    await somebody_has_a_state(servers, names)
    elsewhere = text(version=2).replace("songs.activity", f"{names.namespace}.elsewhere")

    with pytest.raises(Precondition, match=r"elsewhere does not exist: .*laurel topics create"):
        await submitted(servers, names, elsewhere, from_now=True)
    assert len(await read_records(servers.kafka, names)) == 1


async def test_a_version_that_counts_nothing_new_needs_no_word(servers, names):
    await submitted(servers, names, text())
    await somebody_has_a_state(servers, names)

    assert (await submitted(servers, names, text(version=2, at=7))).fresh


async def test_an_empty_namespace_has_no_past_to_miss(servers, names):
    await submitted(servers, names, text())

    assert (await submitted(servers, names, text(version=2, more=ARTISTS))).fresh


async def test_a_catalog_that_fails_its_check_never_reaches_the_topic(servers, names):
    with pytest.raises(BadCatalog, match=r"songs\.yaml"):
        await submitted(servers, names, text(more="  typo: {cuont: song_released}"))

    assert await read_records(servers.kafka, names) == []


async def test_a_catalog_that_declares_an_event_otherwise_than_a_running_one_is_refused(servers, names):
    await submitted(servers, names, text())
    other = (
        text("covers").replace("covers.activity", "songs.activity").replace("song_id: string,", "song_id: integer,")
    )

    with pytest.raises(BadCatalog, match="declare it alike in both"):
        await submitted(servers, names, other)

    assert [record.catalog for record in await read_records(servers.kafka, names)] == ["songs"]


async def test_a_catalog_that_contradicts_a_running_one_about_an_event_never_reaches_the_topic(servers, names):
    await submitted(servers, names, text("songs"))
    other = text("poems").replace("poems.activity", "songs.activity").replace("song_id: string", "song_id: integer")

    with pytest.raises(BadCatalog, match="song_released"):
        await submitted(servers, names, other)
    assert [record.catalog for record in await read_records(servers.kafka, names)] == ["songs"]


async def test_before_any_catalog_the_reader_is_told_what_to_do(servers, names):
    with pytest.raises(Precondition, match="holds no catalog: publish one with `laurel catalog publish FILE`"):
        await read_program(servers.kafka, names)


async def test_before_any_topic_reader_and_publisher_are_told_what_to_do(servers, namespace):
    names = Names(namespace)
    for work in (read_program(servers.kafka, names), submitted(servers, names, text())):
        with pytest.raises(Precondition, match=r"\.catalogs does not exist: create it with `laurel topics create"):
            await work


async def somebody_has_a_state(servers, names: Names) -> None:
    async with producer(servers.kafka) as client:
        await client.send_and_wait(names.changelog, b"a state", key=b"somebody", partition=1)
