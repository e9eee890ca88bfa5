"""What tells texts apart where a metric normalises them: the same for the fold and for the check of a catalog."""

from __future__ import annotations

import unicodedata


def normal(text: str) -> str:
    """Trimmed, composed (NFC) and case-folded."""
    return unicodedata.normalize("NFC", text.strip()).casefold()
