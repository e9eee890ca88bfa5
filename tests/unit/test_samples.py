"""Which activity the demo publishes for which catalogs."""

from __future__ import annotations

import gzip
import json

from cli.samples import sample_lines, sampled
from tests.unit.sample import CATALOGS


def lines_in(name: str) -> list[bytes]:
    return gzip.decompress((CATALOGS / "samples" / f"{name}.jsonl.gz").read_bytes()).splitlines(keepends=True)


def test_a_bundled_catalog_has_the_activity_of_its_own_users():
    assert sampled(["platform"]) == ["platform"]
    assert sampled(["some/folder/platform.yaml"]) == ["platform"]
    assert list(sample_lines(["platform"])) == lines_in("platform")


def test_a_catalog_of_ones_own_is_tried_on_the_songs():
    assert sampled(["mine.yaml"]) == ["trackflow"]


def test_of_several_catalogs_each_event_names_its_topic_since_products_share_types():
    events = [json.loads(each) for each in sample_lines(sampled(["platform", "trackflow"]))]
    expected = [
        {**json.loads(each), "topic": f"{name}.activity"}
        for name in ("platform", "trackflow")
        for each in lines_in(name)
    ]

    assert events == expected
