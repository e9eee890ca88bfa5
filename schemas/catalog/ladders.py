"""Ladders: a family of achievements on one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schemas.catalog.conditions import Known, is_metric, read_threshold
from schemas.catalog.findings import Path, Report
from schemas.catalog.language import WrittenLadder, WrittenLook, WrittenStep
from schemas.catalog.looks import check_entry, check_face, check_seen, look_of
from schemas.catalog.model import AtLeast, Ladder, Step
from schemas.catalog.requirements import Listed
from schemas.catalog.shape import shaped

HOLES = ("at",)


def read_ladders(section: list[Any], known: Known, report: Report) -> tuple[list[Ladder], list[Listed]]:
    found, listed = [], []
    for number, said in enumerate(section):
        path: Path = ("ladders", number)
        written = shaped(WrittenLadder, said, path, report)
        if written:
            listed += _listed(path, written)
            ladder = read_ladder(path, written, known, report)
            if ladder:
                found.append(ladder)
    return found, listed


def _listed(path: Path, ladder: WrittenLadder) -> list[Listed]:
    shared = said_of(ladder)
    return [
        Listed((*path, "steps", number), step, {**shared, **said_of(step)})
        for number, step in enumerate(ladder.steps)
    ]


def said_of(written: WrittenLook) -> dict[str, Any]:
    return {name: getattr(written, name) for name in written.model_fields_set}


def read_ladder(path: Path, ladder: WrittenLadder, known: Known, report: Report) -> Ladder | None:
    before = len(report.findings)
    is_metric((*path, "metric"), ladder.metric, known, report)
    check_face(path, ladder, HOLES, known, report)
    _check_names(path, ladder, report)
    look = look_of(path, ladder, report)
    places = [((*path, "steps", number), step) for number, step in enumerate(ladder.steps)]
    steps = [_read_step(place, step, ladder, look, known, report) for place, step in places]
    _check_rise(path, ladder, steps, report)
    if len(report.findings) > before or None in steps:
        return None
    return Ladder.model_validate({**look, "metric": ladder.metric, "steps": steps})


def _check_names(path: Path, ladder: WrittenLadder, report: Report) -> None:
    for tag, texts in ladder.translations.items():
        if texts.name:
            what = "a ladder has no name to translate"
            report.add((*path, "translations", tag, "name"), what, "translate the name of each step")


def _read_step(
    path: Path, step: WrittenStep, ladder: WrittenLadder, shared: Mapping[str, Any], known: Known, report: Report
) -> Step | None:
    check_entry(path, step, step.category or ladder.category, known, report)
    check_face(path, step, HOLES, known, report)
    look = look_of(path, step, report)
    at = read_threshold((*path, "at"), ladder.metric, step.at, known, report)
    if at is None:
        return None
    check_seen(path, {**shared, **look}, AtLeast(metric=ladder.metric, at=at), known, report)
    return Step.model_validate({**look, "at": at})


def _check_rise(path: Path, ladder: WrittenLadder, steps: Sequence[Step | None], report: Report) -> None:
    reached = 0
    for number, (written, step) in enumerate(zip(ladder.steps, steps, strict=True)):
        if step and step.at <= reached:
            what = f"the step at {written.at} does not rise above the one before"
            report.add((*path, "steps", number, "at"), what, "sort the steps, each once")
        reached = max(reached, step.at if step else 0)
