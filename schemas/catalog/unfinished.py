"""What an author may write and this version cannot do yet: it is read and checked, and then refused.

A word leaves the list in the change that makes the fold do it. `read_catalog(…, whole=True)` reads past the list.
"""

from __future__ import annotations

from schemas.catalog.language import Written, WrittenTopic

NOT_YET: dict[type[Written], frozenset[str]] = {WrittenTopic: frozenset({"repartition"})}
NOT_WRITTEN = frozenset({"notify", "feed", "any_of", "upcast"})  # words of the design that have no shape yet


def is_unfinished(written: type[Written], word: str) -> bool:
    """Whether a word of this part, or of what it is a kind of, is still refused."""
    return any(word in NOT_YET.get(kind, ()) for kind in written.__mro__ if issubclass(kind, Written))
