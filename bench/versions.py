"""Earlier versions of a job's catalog: what a later one brings is taken out of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import yaml


def version(text: str, number: int, without: Collection[str] = ()) -> str:
    """A catalog as this version of it, without these metrics, their ladders and these achievements."""
    catalog: dict[str, Any] = yaml.safe_load(text)
    metrics = {key: spec for key, spec in catalog["metrics"].items() if key not in without}
    achievements = [each for each in catalog.get("achievements", ()) if each["key"] not in without]
    ladders = [each for each in catalog.get("ladders", ()) if each["metric"] not in without]
    told = {**catalog, "version": number, "metrics": metrics, "achievements": achievements, "ladders": ladders}
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)
