"""`laurel topics`: create what is missing, check what is there."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, NamedTuple

import typer

from broker.catalogs import read_program
from broker.topics import Created, Fault, check_topics, create_topics, wanted_topics
from cli.catalog_files import catalog_file
from cli.kafka import run
from cli.output import print_json
from cli.settings import Settings
from schemas.catalog import read_catalog
from schemas.topics import TopicSpec

PUBLISHED = "published"
DIFFERENCES = 5

app = typer.Typer(no_args_is_help=True, help="Create and check the topics of this namespace.")

CatalogOption = Annotated[
    list[str],
    typer.Option("--catalog", metavar="FILE|published", help="Catalogs that name the source topics; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]


@app.command()
def create(catalog: CatalogOption = [PUBLISHED], as_json: JsonOption = False) -> None:  # noqa: B006 - typer copies
    """Create the topics that are missing; those that exist stay as they are."""
    settings = Settings()
    created = run(_create(settings, catalog))
    if as_json:
        print_json({"topics": [{"topic": each.topic, "created": each.fresh} for each in created]})
        return
    for each in created:
        print(f"{'created' if each.fresh else 'exists '}  {each.topic}")


@app.command()
def check(catalog: CatalogOption = [PUBLISHED], as_json: JsonOption = False) -> None:  # noqa: B006
    """Say what is wrong with the topics and what to do; exit code 5 when something is."""
    wanted, faults = run(_check(Settings(), catalog))
    if as_json:
        print_json({"faults": [fault._asdict() for fault in faults]})
    else:
        print("\n".join(fault.message for fault in faults) or f"all {len(wanted)} topics are as they must be")
    if faults:
        raise typer.Exit(DIFFERENCES)


class Sources(NamedTuple):
    """Source topics, and those among them whose publishers partition in another way."""

    topics: list[str]
    repartitioned: Collection[str]


async def _create(settings: Settings, catalogs: list[str]) -> list[Created]:
    return await create_topics(settings.kafka, _wanted(settings, await _sources(settings, catalogs)))


async def _check(settings: Settings, catalogs: list[str]) -> tuple[list[TopicSpec], list[Fault]]:
    sources = await _sources(settings, catalogs)
    wanted = _wanted(settings, sources)
    return wanted, await check_topics(settings.kafka, wanted, sources.repartitioned)


def _wanted(settings: Settings, sources: Sources) -> list[TopicSpec]:
    return wanted_topics(settings.names, sources.topics, settings.partitions)


async def _sources(settings: Settings, catalogs: list[str]) -> Sources:
    named = [await _sources_of(settings, each) for each in catalogs]
    topics = [topic for each in named for topic in each.topics]
    return Sources(topics, {topic for each in named for topic in each.repartitioned})


async def _sources_of(settings: Settings, named: str) -> Sources:
    if named == PUBLISHED:
        program = await read_program(settings.kafka, settings.names)
        return Sources(program.sources, program.repartitioned)
    catalog = read_catalog(*catalog_file(named))
    topics = [event.topic for event in catalog.events.values() if event.topic is not None]
    return Sources(topics, catalog.repartition)
