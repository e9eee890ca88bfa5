"""`laurel bench definitions` and `users`: how the cost of an event moves with the catalog, and with the users."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import typer

from bench import definitions as growing
from bench.document import markdown_table, where_and_when, write_between
from bench.load import Load
from bench.oracle import expected
from bench.plot import plot
from bench.run import run_worker
from bench.stage import staged
from bench.worker import Worker
from cli.benches.machine import cache_folder, job_file, require_two_cores, say
from cli.benches.processor import AsJson, Events, Job, Write

PLOTS = "performance"
END_TO_END_TIMES = 5  # as many events: a worker starts slowly


class Curve(NamedTuple):
    """A curve in the documentation. Shapes: rows of the table as in `head`."""

    verb: str
    title: str
    across: str
    head: tuple[str, ...]
    rows: list[list[str]]
    points: list[tuple[int, float]]
    note: str


def definitions(
    sizes: Annotated[str, typer.Option(help="How many achievements, ascending.")] = "100,1000,10000,100000",
    events: Events = 400_000,
    rounds: Annotated[int, typer.Option(min=1, help="The least of so many counts.")] = 5,
    end_to_end: Annotated[
        int, typer.Option(min=0, help="A catalog of so many on a real broker too; 0: none.")
    ] = 5000,
    job: Job = "small",
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """Cost per event with ever more achievements over the same metrics: the fold alone, one catalog end to end."""
    file = job_file(job)
    points = growing.measure(file, numbers(sizes), Load(events, users=events // 100), rounds, say)
    whole = _end_to_end(file, end_to_end, events) if end_to_end else {}
    costs = [point.us_per_event for point in points]
    note = f"From the cheapest to the dearest: {max(costs) / min(costs) - 1:.0%}. " + _said(whole)
    curve = Curve(
        "laurel bench definitions",
        "Fold, microseconds of CPU per event",
        "achievement definitions",
        ("definitions", "µs per event", "s to set up a partition", "unlocks"),
        [[f"{size:,}", f"{us:.2f}", f"{start:.2f}", f"{won:,}"] for size, us, start, won in points],
        [(point.definitions, point.us_per_event) for point in points],
        note,
    )
    _tell(curve, write, as_json, {"points": [point._asdict() for point in points], "end_to_end": whole})


def _end_to_end(job: Path, size: int, events: int) -> dict[str, Any]:
    """The job as it is, and with so many achievements, one after the other on one broker."""
    require_two_cores()
    load = Load(events * END_TO_END_TIMES, users=events // 100)
    lines = expected(job.stem, load, cache_folder())
    with TemporaryDirectory() as folder, staged(load, say) as stage:
        large = Path(folder) / "large.yaml"
        large.write_text(growing.catalog_with(job, size))
        measured = {
            name: run_worker(Worker(file, name), stage, lines, say)
            for name, file in (("as-it-is", job), ("large", large))
        }
    return {"definitions": size, **measured}


def _said(whole: dict[str, Any]) -> str:
    if not whole:
        return ""
    own, large = (whole[name]["sustained_cpu_s_per_million"] for name in ("as-it-is", "large"))
    right = all(whole[name]["correct"] for name in ("as-it-is", "large"))
    return (
        f"From end to end, sustained: {own:.2f} CPU-s per million events with the job's own achievements, "
        f"{large:.2f} with {whole['definitions']:,}; outputs equal the oracle's: {'yes' if right else 'no'}."
    )


def users(
    sizes: Annotated[str, typer.Option(help="How many users, ascending.")] = "1000,10000,100000,1000000",
    events: Events = 2_000_000,
    job: Job = "small",
    write: Write = None,
    as_json: AsJson = False,
) -> None:
    """Cost per event and memory with ever more users, from end to end: a run for each number of users."""
    file = job_file(job)
    require_two_cores()
    measured = {size: _run_with(file, Load(events, size)) for size in numbers(sizes)}
    curve = Curve(
        "laurel bench users",
        "Sustained CPU seconds per million events",
        "users",
        (
            "users",
            "sustained CPU-s per million",
            "states written per event",
            "unlocks per event",
            "memory MB",
            "right",
        ),
        [_users_row(size, each) for size, each in measured.items()],
        [(size, each["sustained_cpu_s_per_million"]) for size, each in measured.items()],
        f"{events:,} events each, `{job}`.",
    )
    _tell(curve, write, as_json, {"points": [{"users": size, **each} for size, each in measured.items()]})
    if not all(each["correct"] for each in measured.values()):
        raise typer.Exit(1)


def _run_with(job: Path, load: Load) -> dict[str, Any]:
    say(f"{load.users:,} users: the oracle folds {load.events:,} events, unless it knows them")
    lines = expected(job.stem, load, cache_folder())
    with staged(load, say) as stage:
        return run_worker(Worker(job, "bench"), stage, lines, say)


def _users_row(size: int, measured: dict[str, Any]) -> list[str]:
    each = measured["per_event"]
    return [
        f"{size:,}",
        f"{measured['sustained_cpu_s_per_million']:.2f}",
        f"{each['states']:.2f}",
        f"{each['outcomes']:.2f}",
        str(measured["peak_rss_mb"]),
        "yes" if measured["correct"] else "no",
    ]


def numbers(sizes: str) -> list[int]:
    return sorted(int(size) for size in sizes.split(","))


def _tell(curve: Curve, write: Path | None, as_json: bool, summary: dict[str, Any]) -> None:
    text = f"{where_and_when()}{curve.note}\n\n{markdown_table(curve.head, curve.rows)}"
    if write:
        name = curve.verb.split()[-1]
        picture = write.parent / PLOTS / f"{name}.svg"
        picture.parent.mkdir(exist_ok=True)
        plot(picture, curve.title, curve.across, curve.points)
        write_between(write, curve.verb, f"{text}\n![{curve.title}, by {curve.across}]({PLOTS}/{name}.svg)")
    print(json.dumps(summary) if as_json else text)
