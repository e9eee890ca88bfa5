"""What an author may expect from the design and this version has no shape for: told from a misspelt word."""

from __future__ import annotations

NOT_WRITTEN = frozenset({"notify", "feed", "any_of", "upcast"})
