"""Which version may follow which."""

from __future__ import annotations

import pytest

from broker.catalogs import new_metrics, program_of, standing
from schemas.errors import BadCatalog
from schemas.program import CatalogProgram, CatalogRecord, Ledger, MetricSpec
from schemas.topics import Names


def program(catalog: str = "songs", version: int = 1, sha256: str = "a") -> CatalogProgram:
    metrics = [MetricSpec(key=f"metric_{slot}", kind="count", slot=slot, feeds=[]) for slot in (3, 6)]
    return CatalogProgram(
        catalog=catalog, version=version, sha256=sha256, events=[], metrics=metrics, achievements=[]
    )


def record(catalog: str = "songs", version: int = 1, sha256: str = "a", slots: int = 0) -> CatalogRecord:
    compiled = program(catalog, version, sha256)
    ledger = Ledger(slots=["zero"] * slots)
    return CatalogRecord(
        catalog=catalog, version=version, sha256=sha256, file="f", source="", program=compiled, ledger=ledger
    )


def test_the_first_version_stands_alone():
    assert standing([], program(), "songs.yaml") is None
    assert standing([record("poems", 9)], program(version=1), "songs.yaml") is None


def test_the_same_version_with_the_same_content_is_found():
    published = record(version=2)

    assert standing([record(version=1), published], program(version=2), "songs.yaml") is published


@pytest.mark.parametrize(
    ("version", "sha256", "said"),
    [
        (3, "b", "version 3 of catalog 'songs' is published with other content: write `version: 4`"),
        (2, "a", "version 2 of catalog 'songs' lies behind version 3, which runs: write `version: 4`"),
        (1, "a", "lies behind version 3"),
    ],
)
def test_a_version_that_does_not_rise_is_refused_with_the_one_to_write(version, sha256, said):
    records = [record(version=1), record(version=3)]

    with pytest.raises(BadCatalog, match=f"songs.yaml: .*{said}"):
        standing(records, program(version=version, sha256=sha256), "songs.yaml")


def test_the_highest_versions_run_under_the_latest_numbering():
    records = [record("songs", 1), record("songs", 2, slots=3), record("poems", 1, slots=6)]

    running = program_of(records, Names("space"))

    assert [(each.catalog, each.version) for each in running.catalogs] == [("poems", 1), ("songs", 2)]
    assert running.ledger == records[-1].ledger
    assert running.derived == "space.derived"


def test_a_metric_is_new_when_its_slots_are():
    before, after = Ledger(metrics={"songs/metric_3#x": 3}), Ledger(metrics={"songs/metric_3#x": 3, "songs/m#y": 6})

    assert new_metrics(program(), before, after) == ["metric_6"]
    assert new_metrics(program(), after, after) == []
