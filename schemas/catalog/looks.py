"""What every entry says about itself, alone, as a tier or on a ladder; and what its window and context ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from schemas.catalog.conditions import Known, comparisons
from schemas.catalog.findings import Path, Report, nearest
from schemas.catalog.language import WrittenEntry, WrittenFace, WrittenLook
from schemas.catalog.model import Achievement, Condition
from schemas.catalog.spelling import ROUTES
from schemas.catalog.texts import check_texts, read_translations
from schemas.catalog.where import plain_name
from schemas.catalog.windows import check_window, read_window


def plain_names(paths: Mapping[str, str]) -> dict[str, str]:
    return {name: plain_name(path) for name, path in paths.items()}


CONVERSIONS: dict[str, Callable[[Any], object]] = {
    "requires": tuple,
    "translations": read_translations,
    "context": plain_names,
    "metadata": plain_names,
    "scope": plain_name,
}
READ_APART = frozenset({"window", "when", "on", "conditions", "tiers"})
ATTRIBUTES = frozenset(Achievement.model_fields) - READ_APART


def look_of(path: Path, written: WrittenFace, report: Report) -> dict[str, Any]:
    """What an author wrote of an entry, as attributes of the model."""
    said = {name: getattr(written, name) for name in written.model_fields_set & ATTRIBUTES}
    look = {name: CONVERSIONS[name](value) if name in CONVERSIONS else value for name, value in said.items()}
    window = read_window(path, written, report) if isinstance(written, WrittenLook) else None
    return {**look, "window": window} if window else look


def check_entry(path: Path, entry: WrittenEntry, category: str, known: Known, report: Report) -> None:
    """The key is free, the category is listed."""
    if entry.key in ROUTES:
        report.add((*path, "key"), f"`{entry.key}` is a word of the API's addresses", "choose another key")
    if known.categories is None:
        return
    names = [each.key for each in known.categories]
    if not category:
        report.add(path, "it has no category, and this catalog lists its categories", nearest("", names))
    elif category not in names:
        report.add((*path, "category"), f"no category `{category}` is listed", nearest(category, names))


def check_face(path: Path, face: WrittenFace, holes: Iterable[str], known: Known, report: Report) -> None:
    """Nothing stays open in its texts, and somebody gives the XP it speaks of."""
    check_texts(path, face, holes, known.language, report)
    if "xp" in face.model_fields_set and not known.xp_from_awards:
        what = "awards give no XP in this catalog"
        report.add((*path, "xp"), what, "add `{on: awards}` to the list under `xp`, or leave it out here")


def check_seen(path: Path, look: Mapping[str, Any], condition: Condition, known: Known, report: Report) -> None:
    """The window that a condition is looked at through, and the context its crossing tells of."""
    window = look.get("window")
    if window:
        check_window((*path, "window"), window, condition, known, report)
    if window and window.every:
        _check_period(path, look, report)
    for name, field in look.get("context", {}).items():
        _check_context((*path, "context", name), field, condition, known, report)


def _check_period(path: Path, look: Mapping[str, Any], report: Report) -> None:
    """An award of a period is given once, and hangs on nothing else."""
    for word in ("requires", "revocable"):
        if look.get(word, "no") not in ("no", ()):
            what = f"`{word}` means nothing to an award of every period"
            report.add((*path, word), what, "remove it, or leave `every` out of the window")


def _check_context(path: Path, field: str, condition: Condition, known: Known, report: Report) -> None:
    metrics = [known.metrics[each.metric] for each in comparisons(condition)]
    events = [known.events.get(feed.type) for metric in metrics if metric for feed in metric.plus]
    fields = {name for event in events if event for name in event.data}
    if all(events) and field not in fields:
        report.add(path, f"no event that moves this declares a field `{field}`", nearest(field, fields))
