"""The hash of what a catalog means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping

from schemas.catalog.listing import all_achievements
from schemas.catalog.model import Catalog, Part


def catalog_hash(catalog: Catalog) -> str:
    """The sha256 of what a catalog means: layout, comments and ladders against single entries change nothing.

    What has its default is left out, so that a word the language learns later leaves old hashes alone.
    """
    meaning = catalog.model_copy(update={"achievements": all_achievements(catalog), "ladders": []})
    text = json.dumps(canonical(meaning), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def canonical(value: object) -> object:
    if isinstance(value, Part):
        return {"is": type(value).__name__, **{name: canonical(said) for name, said in spoken(value)}}
    if isinstance(value, Mapping):
        return {key: canonical(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def spoken(part: Part) -> Iterable[tuple[str, object]]:
    fields = type(part).model_fields
    return ((name, value) for name, value in part if value != fields[name].default)
