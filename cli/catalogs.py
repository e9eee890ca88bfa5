"""`laurel catalog`: check catalogs as an author writes them, and publish them to the catalogs topic."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import typer

from broker.catalogs import Submission, program_of, read_records, submit
from cli.catalog import comparing, describing, trying
from cli.catalog_files import CatalogFile, loaded
from cli.kafka import run
from cli.output import print_json
from cli.settings import Settings
from processor.evaluator.compile import compile_catalog
from schemas.catalog import Catalog, Finding, RefusedCatalog, all_achievements, all_events, read_catalog

FAILED = 1

app = typer.Typer(no_args_is_help=True, help="Check, test, compare, describe and publish catalogs.")
app.command("test")(trying.try_examples)
app.command("diff")(comparing.diff)
app.command("docs")(describing.docs)

Files = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Paths, or names of catalogs that come with Laurel.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
FromNowOption = Annotated[
    bool, typer.Option("--from-now", help="Let metrics that are new start at 0, though users have a past.")
]


class Checked(NamedTuple):
    """A file and what its check says: a catalog, or findings."""

    file: CatalogFile
    catalog: Catalog | None
    findings: tuple[Finding, ...]


class Published(NamedTuple):
    """Shapes: `new_sources` are the topics that no catalog read before, empty in a fresh namespace."""

    submission: Submission
    new_sources: list[str]
    others: bool


@app.command()
def check(files: Files, as_json: JsonOption = False) -> None:
    """Say everything that must be mended, each with its line; exit code 1 when something must."""
    results = [check_file(named) for named in files]
    if as_json:
        print_json({"catalogs": [summary(each) for each in results]})
    for each in [] if as_json else results:
        print("\n".join(map(str, each.findings)) or praise(each))
    if any(each.findings for each in results):
        raise typer.Exit(FAILED)


@app.command()
def publish(files: Files, from_now: FromNowOption = False, as_json: JsonOption = False) -> None:
    """Publish catalogs, each under its version. Nothing is published when one of them fails its check."""
    texts = [loaded(named) for named in files]
    for file in texts:
        read_catalog(file.text, file.name)
    published = run(_publish(Settings(), texts, from_now))
    if as_json:
        print_json({"published": [_row(each) for each in published]})
    for each in [] if as_json else published:
        print(_line(each))


def check_file(named: str) -> Checked:
    file = loaded(named)
    try:
        return Checked(file, read_catalog(file.text, file.name), ())
    except RefusedCatalog as refused:
        return Checked(file, None, refused.findings)


def praise(checked: Checked) -> str:
    catalog = checked.catalog
    assert catalog is not None  # without findings there is one
    return (
        f"{checked.file.name}: catalog '{catalog.catalog}' version {catalog.version} is good: "
        f"{len(all_events(catalog))} event types, {len(catalog.metrics)} metrics, "
        f"{len(all_achievements(catalog))} achievements"
    )


def summary(checked: Checked) -> dict[str, Any]:
    catalog = checked.catalog
    return {
        "file": checked.file.name,
        "catalog": catalog.catalog if catalog else None,
        "version": catalog.version if catalog else None,
        "achievements": len(all_achievements(catalog)) if catalog else None,
        "findings": [finding._asdict() for finding in checked.findings],
    }


async def _publish(settings: Settings, texts: list[CatalogFile], from_now: bool) -> list[Published]:
    return [await _publish_one(settings, each, from_now) for each in texts]


async def _publish_one(settings: Settings, file: CatalogFile, from_now: bool) -> Published:
    names = settings.names
    before = await read_records(settings.kafka, names)
    submission = await submit(settings.kafka, names, file.text, file.name, compile_catalog, from_now)
    read = set(program_of(before, names).sources) if before else set()
    wanted = {event.topic for event in submission.record.program.events if event.topic is not None}
    return Published(submission, sorted(wanted - read) if before else [], bool(before))


def _row(published: Published) -> dict[str, Any]:
    record = published.submission.record
    return {
        "catalog": record.catalog,
        "version": record.version,
        "sha256": record.sha256,
        "fresh": published.submission.fresh,
        "new_sources": published.new_sources,
    }


def _line(published: Published) -> str:
    record = published.submission.record
    said = f"catalog '{record.catalog}' version {record.version}"
    if not published.submission.fresh:
        return f"{said} was published before, with this content"
    topics = ", ".join(published.new_sources)
    create = f" It reads {topics} too: `laurel topics create` makes what is missing." if topics else ""
    restart = (
        " Workers read catalogs when they start: restart them one after the other." if published.others else ""
    )
    return f"{said} is published.{create}{restart}"
