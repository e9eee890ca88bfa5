"""What an example expects of a user once everything has arrived."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from cli.catalog.given import USER
from cli.catalog.shapes import Shapes
from schemas.catalog.findings import Path, Report, nearest
from schemas.program import XP, CatalogProgram

WORDS = ("user", "awards", "not", "only", "revoked", "metrics", "xp", "level", "progress", "claims")
ANSWERS = ("accepted", "repeated", "unknown", "not_offered", "expired", "not_open", "incomplete")


class Wanted(NamedTuple):
    """An award as an expectation names it: `key`, `key/tier`, perhaps of one scope."""

    reference: str
    scope: str | None = None

    def __str__(self) -> str:
        return self.reference if self.scope is None else f"{self.reference} of {self.scope}"


@dataclass
class Expectation:
    """What is None is not asked."""

    user: str = USER
    awards: list[Wanted] = field(default_factory=list)
    absent: list[Wanted] = field(default_factory=list)
    only: list[Wanted] | None = None
    revoked: list[Wanted] = field(default_factory=list)
    metrics: dict[str, int | Decimal] = field(default_factory=dict)
    level: int | None = None
    progress: dict[str, int] = field(default_factory=dict)
    claims: list[str] | None = None


class ExpectationReader(Shapes):
    def __init__(self, program: CatalogProgram, report: Report) -> None:
        super().__init__(report)
        self._keys = {name for each in program.achievements for name in (each.key, each.reference)}
        self._metrics = {metric.key for metric in program.metrics if metric.origin is None}

    def read(self, path: Path, said: object) -> Expectation:
        words = self.mapping(path, said, WORDS)
        metrics = {**self.mapping((*path, "metrics"), words.get("metrics", {}))}
        if XP in words:
            metrics[XP] = words[XP]
        return Expectation(
            user=str(words.get("user", USER)),
            awards=self._awards((*path, "awards"), words.get("awards", [])),
            absent=self._awards((*path, "not"), words.get("not", [])),
            only=self._awards((*path, "only"), words["only"]) if "only" in words else None,
            revoked=self._awards((*path, "revoked"), words.get("revoked", [])),
            metrics={name: self._value((*path, "metrics"), name, value) for name, value in metrics.items()},
            level=int(self.number((*path, "level"), words["level"])) if "level" in words else None,
            progress=self._progress((*path, "progress"), words.get("progress", {})),
            claims=self._answers((*path, "claims"), words["claims"]) if "claims" in words else None,
        )

    def _awards(self, path: Path, said: object) -> list[Wanted]:
        return [self._award((*path, place), each) for place, each in enumerate(self.listed(path, said))]

    def _award(self, path: Path, said: object) -> Wanted:
        if isinstance(said, str):
            return Wanted(self._key(path, said))
        words = self.mapping(path, said, ("key", "tier", "scope"))
        key = "/".join(str(words[word]) for word in ("key", "tier") if word in words)
        return Wanted(self._key(path, key), str(words["scope"]) if "scope" in words else None)

    def _key(self, path: Path, key: str) -> str:
        if key not in self._keys:
            self.report.add(path, f"no achievement `{key}` is listed", nearest(key, self._keys))
        return key

    def _value(self, path: Path, metric: str, said: object) -> int | Decimal:
        if metric not in self._metrics:
            self.report.add((*path, metric), f"no metric `{metric}` is declared", nearest(metric, self._metrics))
        return self.number((*path, metric), said)

    def _progress(self, path: Path, said: object) -> dict[str, int]:
        percentages = self.mapping(path, said)
        return {
            self._key((*path, key), key): int(self.number((*path, key), value))
            for key, value in percentages.items()
        }

    def _answers(self, path: Path, said: Any) -> list[str]:
        answers = [str(each) for each in self.listed(path, said)]
        for place, each in enumerate(answers):
            if each not in ANSWERS:
                self.report.add((*path, place), f"`{each}` is no answer to a claim", nearest(each, ANSWERS))
        return answers
