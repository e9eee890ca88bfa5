"""Challenges: what is offered to a user for a day."""

from __future__ import annotations

from schemas.catalog.conditions import Known, read_comparison
from schemas.catalog.findings import Path, Report
from schemas.catalog.language import WrittenChallenge, WrittenChallenges
from schemas.catalog.model import Challenge, Challenges, Window
from schemas.catalog.shape import shaped
from schemas.catalog.texts import check_texts, read_translations
from schemas.catalog.windows import check_window


def read_challenges(said: object, known: Known, report: Report) -> Challenges | None:
    written = shaped(WrittenChallenges, said, ("challenges",), report) if said is not None else None
    if written is None:
        return None
    places: list[tuple[Path, WrittenChallenge]] = [
        (("challenges", "list", number), each) for number, each in enumerate(written.list)
    ]
    _check_keys(places, report)
    if written.per_day > len(written.list):
        what = f"{written.per_day} a day are more than the {len(written.list)} that are listed"
        report.add(("challenges", "per_day"), what, "list more, or offer fewer")
    offered = [_read_challenge(path, each, known, report) for path, each in places]
    return Challenges(per_day=written.per_day, offered=[each for each in offered if each])


def _check_keys(places: list[tuple[Path, WrittenChallenge]], report: Report) -> None:
    seen: set[str] = set()
    for path, each in places:
        if each.key in seen:
            report.add((*path, "key"), f"the key `{each.key}` is taken by another challenge", "choose another")
        seen.add(each.key)


def _read_challenge(path: Path, written: WrittenChallenge, known: Known, report: Report) -> Challenge | None:
    check_texts(path, written, (), known.language, report)
    when = read_comparison((*path, "when"), written.when, known, report)
    if when is None:
        return None
    check_window((*path, "when"), Window(every=written.every), when, known, report)
    return Challenge(
        key=written.key,
        name=written.name or written.description,
        type=written.type or written.key,
        description=written.description,
        message=written.message,
        icon=written.icon,
        when=when,
        every=written.every,
        xp=written.xp,
        translations=read_translations(written.translations),
    )
