"""What the design knows and this version cannot do is refused in so many words, and never ignored."""

from __future__ import annotations

import pytest

from schemas.catalog import RefusedCatalog, read_catalog
from schemas.catalog.unfinished import NOT_WRITTEN

SHOP = """\
catalog: shop
version: 1
events:
  order: {topic: shop, data: {country: string, items: integer}}
metrics:
  orders: {count: order}
achievements:
  - {key: first, name: First, when: orders >= 1 ENTRY}
"""


@pytest.mark.parametrize("word", sorted(NOT_WRITTEN))
def test_a_word_of_the_design_without_a_shape_is_told_from_a_misspelt_one(word: str):
    for text in (SHOP.replace(" ENTRY", f", {word}: x"), SHOP.replace(" ENTRY", "") + f"{word}: []\n"):
        with pytest.raises(RefusedCatalog, match=f"does not know `{word}` here yet"):
            read_catalog(text, "shop.yaml")
