"""`laurel catalog`: check catalogs as an author writes them, and publish them to the catalogs topic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import typer

from broker.catalogs import Submission, program_of, read_records, submit
from cli.catalog import comparing, describing, trying
from cli.catalog_files import CatalogFile, loaded
from cli.kafka import run
from cli.output import print_json
from cli.settings import Settings
from processor.evaluator.compile import compile_catalog
from replays.publication import beside_replays
from schemas.catalog import (
    Catalog,
    Finding,
    RefusedCatalog,
    all_achievements,
    all_events,
    follow,
    judge_catalog,
    read_catalog,
)
from schemas.catalog.findings import in_order
from schemas.program import CatalogRecord

FAILED = 1

app = typer.Typer(no_args_is_help=True, help="Check, test, compare, describe and publish catalogs.")

Files = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Paths, or names of catalogs that come with Laurel.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
FromNowOption = Annotated[
    bool, typer.Option("--from-now", help="Let metrics that are new start at 0, though users have a past.")
]
AgainstOption = Annotated[
    str, typer.Option("--against", metavar="OLD", help="The version before: a path, or the name of a bundled one.")
]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="Compare with the version that the namespace has now.")
]


class Checked(NamedTuple):
    """A file and what its check says: a catalog, perhaps with warnings, or findings."""

    file: CatalogFile
    catalog: Catalog | None
    warnings: tuple[Finding, ...] = ()
    findings: tuple[Finding, ...] = ()


class Published(NamedTuple):
    """Shapes: `new_sources` are the topics that no catalog read before, empty in a fresh namespace."""

    submission: Submission
    new_sources: list[str]
    others: bool
    warnings: tuple[Finding, ...] = ()


@app.command()
def check(
    files: Files, against: AgainstOption = "", published: PublishedOption = False, as_json: JsonOption = False
) -> None:
    """Say everything that must be mended, each with its line; exit code 1 when something must.

    Warnings are of what can be read, but was hardly meant. With a version to compare with also: other content under
    one version, and, as warnings, lowered thresholds and awards that are gone.
    """
    before = _named(against) if against else None
    records = run(_records(Settings())) if published else []
    results = [_compared(check_file(loaded(named)), before, records) for named in files]
    if as_json:
        print_json({"catalogs": [summary(each) for each in results]})
    for each in [] if as_json else results:
        print("\n".join(told(each)))
    if any(each.findings for each in results):
        raise typer.Exit(FAILED)


app.command("test")(trying.try_examples)
app.command("diff")(comparing.diff)
app.command("docs")(describing.docs)


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
        print("\n".join([_line(each), *(f"warning: {warning}" for warning in each.warnings)]))


def check_file(file: CatalogFile) -> Checked:
    try:
        return Checked(file, *judge_catalog(file.text, file.name))
    except RefusedCatalog as refused:
        return Checked(file, None, findings=refused.findings)


def _named(before: str) -> Catalog:
    """Raises: RefusedCatalog when the version to compare with is none."""
    file = loaded(before)
    return read_catalog(file.text, file.name)


async def _records(settings: Settings) -> list[CatalogRecord]:
    return await read_records(settings.kafka, settings.names)


def _compared(checked: Checked, named: Catalog | None, records: Sequence[CatalogRecord]) -> Checked:
    """What there is to say beside the version before: the one that was named, else the one that is published."""
    new = checked.catalog
    old = named or (published_before(records, new) if new else None)
    if new is None or old is None:
        return checked
    succession = follow(old, new, checked.file.text, checked.file.name)
    return checked._replace(
        findings=succession.findings, warnings=in_order([*checked.warnings, *succession.warnings])
    )


def published_before(records: Sequence[CatalogRecord], new: Catalog) -> Catalog | None:
    """The newest version; None where there is none, or one that today's stricter check does not read."""
    versions = [record for record in records if record.catalog == new.catalog]
    if not versions:
        return None
    newest = max(versions, key=lambda record: record.version)
    try:
        return read_catalog(newest.source, newest.file)
    except RefusedCatalog:
        return None


def told(checked: Checked) -> list[str]:
    said = [str(each) for each in checked.findings] or [praise(checked)]
    return [*said, *(f"warning: {each}" for each in checked.warnings)]


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
        "warnings": [warning._asdict() for warning in checked.warnings],
    }


async def _publish(settings: Settings, texts: list[CatalogFile], from_now: bool) -> list[Published]:
    return [await _publish_one(settings, each, from_now) for each in texts]


async def _publish_one(settings: Settings, file: CatalogFile, from_now: bool) -> Published:
    names = settings.names
    before = await read_records(settings.kafka, names)
    warnings = _compared(check_file(file), None, before).warnings
    beside = beside_replays(lambda: settings.database, is_named=settings.postgres is not None)
    submission = await submit(settings.kafka, names, file.text, file.name, compile_catalog, from_now, beside)
    read = set(program_of(before, names).sources) if before else set()
    wanted = {event.topic for event in submission.record.program.events if event.topic is not None}
    return Published(submission, sorted(wanted - read) if before else [], bool(before), warnings)


def _row(published: Published) -> dict[str, Any]:
    record = published.submission.record
    return {
        "catalog": record.catalog,
        "version": record.version,
        "sha256": record.sha256,
        "fresh": published.submission.fresh,
        "new_sources": published.new_sources,
        "warnings": [warning._asdict() for warning in published.warnings],
    }


def _line(published: Published) -> str:
    record = published.submission.record
    said = f"catalog '{record.catalog}' version {record.version}"
    if not published.submission.fresh:
        return f"{said} was published before, with this content"
    topics = ", ".join(published.new_sources)
    create = f" It reads {topics} too: `laurel topics create` makes what is missing." if topics else ""
    return f"{said} is published.{create}{_from_when(published)}"


def _from_when(published: Published) -> str:
    if not published.others:
        return ""
    if published.new_sources:
        return (
            " Running workers read other topics: each ends when it hears of it, and reads them once started again."
        )
    return " Running workers change to it within a second."
