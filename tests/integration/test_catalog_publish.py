"""`laurel catalog publish` on a real Kafka."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli import catalogs, topics
from schemas.errors import BadCatalog
from tests.servers import Servers

SHOP = """\
catalog: shop
version: 1
events: {{visit: {{topic: {prefix}.visits}}, order: {{topic: {prefix}.{orders}}}}}
metrics: {{visits: {{count: visit}}}}
achievements: [{{key: first, name: First, when: visits >= 1}}]
"""


@pytest.fixture
def configured(servers: Servers, namespace: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LAUREL_KAFKA", servers.kafka)
    monkeypatch.setenv("LAUREL_NAMESPACE", namespace)
    monkeypatch.setenv("LAUREL_PARTITIONS", "1")
    return namespace


def written(folder: Path, prefix: str, *, orders: str = "visits", version: int = 1) -> str:
    path = folder / f"{orders}-{version}.yaml"
    text = SHOP.format(prefix=prefix, orders=orders).replace("version: 1", f"version: {version}")
    path.write_text(text, encoding="utf-8")
    return str(path)


def publish(*arguments: str) -> Result:
    return CliRunner().invoke(catalogs.app, ["publish", *arguments])


def published(*arguments: str) -> list[dict[str, Any]]:
    ran = publish("--json", *arguments)
    assert ran.exit_code == 0, ran.exception
    rows: list[dict[str, Any]] = json.loads(ran.stdout)["published"]
    return rows


@pytest.mark.server
def test_a_catalog_is_published_once_and_a_new_topic_is_said(configured: str, tmp_path: Path):
    first = written(tmp_path, configured)
    created = CliRunner().invoke(topics.app, ["create", "--catalog", first])
    assert created.exit_code == 0, created.exception

    (fresh,) = published(first)
    again = publish(first)
    wider = publish(written(tmp_path, configured, orders="orders", version=2))

    assert (fresh["catalog"], fresh["version"], fresh["fresh"], fresh["new_sources"]) == ("shop", 1, True, [])
    assert "version 1 was published before, with this content" in again.stdout
    assert f"It reads {configured}.orders too" in wider.stdout
    assert "each ends when it hears of it" in wider.stdout


@pytest.mark.server
def test_other_content_under_a_published_version_is_refused(configured: str, tmp_path: Path):
    first = written(tmp_path, configured)
    assert CliRunner().invoke(topics.app, ["create", "--catalog", first]).exit_code == 0
    published(first)

    ran = publish(written(tmp_path, configured, orders="orders"))

    assert isinstance(ran.exception, BadCatalog)
    assert "write `version: 2` and publish again" in str(ran.exception)


@pytest.mark.server
def test_what_the_published_version_had_and_a_new_one_has_not_is_said(configured: str, tmp_path: Path):
    first = written(tmp_path, configured)
    assert CliRunner().invoke(topics.app, ["create", "--catalog", first]).exit_code == 0
    published(first)
    second = written(tmp_path, configured, version=2)
    Path(second).write_text(Path(second).read_text(encoding="utf-8").replace("key: first", "key: other"))

    checked = CliRunner().invoke(catalogs.app, ["check", second, "--published"])
    (row,) = published(second)

    assert checked.exit_code == 0
    assert f"warning: {second}:1: `first` of version 1 is not listed any more" in checked.stdout
    assert [each["what"] for each in row["warnings"]] == ["`first` of version 1 is not listed any more"]
