"""What decides nothing: a condition that another one contains, and a freeze with every event that counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import program
from schemas.catalog.findings import Path, Report
from schemas.catalog.model import All, AtLeast, Condition, Feed
from schemas.program import implies

Part = tuple[object, Condition]  # as its author wrote it, and as it was read


def check_parts(path: Path, word: str, parts: Sequence[Part], report: Report) -> None:
    """A part stands once; one that another contains may be meant, as a step that progress shows."""
    for number, (said, part) in enumerate(parts):
        before = [other for _, other in parts[:number]]
        if part in before:
            report.add((*path, number), f"`{spelled(said)}` stands here twice", "write it once")
            continue
        container = _container(word, number, parts)
        if container is not None:
            report.warn((*path, number), *_told(word, spelled(said), spelled(container)))


def _container(word: str, number: int, parts: Sequence[Part]) -> object | None:
    """What makes a part idle; of two that mean the same it is the first."""
    conditions = [_compiled(part) for _, part in parts]
    for place, other in enumerate(conditions):
        forth, back = (other, conditions[number]) if word == "all" else (conditions[number], other)
        if place != number and implies(forth, back) and (place < number or not implies(back, forth)):
            return parts[place][0]
    return None


def _told(word: str, part: str, container: str) -> tuple[str, str]:
    if word == "all":
        return f"`{part}` holds wherever `{container}` does: it asks for nothing more", "remove it, or ask for more"
    return f"wherever `{part}` holds, `{container}` does already: it decides nothing", "remove it, or ask for less"


def _compiled(condition: Condition) -> program.Condition:
    """Only what it compares: `level >= 2` and the XP where level 2 starts are the same."""
    if isinstance(condition, AtLeast):
        return program.AtLeast(metric=condition.metric, at=condition.at)
    parts = list(map(_compiled, condition.of))
    return program.All(of=parts) if isinstance(condition, All) else program.Any(of=parts)


def spelled(said: object) -> str:
    """A condition as its author wrote it, in one line."""
    if isinstance(said, dict):
        return "{" + ", ".join(f"{word}: [{', '.join(map(spelled, parts))}]" for word, parts in said.items()) + "}"
    return str(said)


def check_freezes(path: Path, plus: Iterable[Feed], freezes: Sequence[Feed], report: Report) -> None:
    """An event that counts and freezes at once makes up for the next day that is missed, whatever happens."""
    counted = list(plus)
    for number, freeze in enumerate(freezes):
        if any(_takes(freeze, feed) for feed in counted):
            what = f"every `{freeze.type}` that counts gives a freeze too: every other day may be missed"
            remedy = "name another event, or give it a `where` that not every one passes"
            report.warn((*path, number), what, remedy)


def _takes(freeze: Feed, feed: Feed) -> bool:
    """Whether a freeze comes with every event of a feed."""
    return freeze.type == feed.type and all(test in feed.where for test in freeze.where)
