"""What can be said of docker-compose.yml and deploy/Dockerfile by reading them: no engine has run them.

Shown here: the file obeys the Compose Specification's own JSON Schema (tests/unit/compose_spec, from compose-go
2.9.0), every long-running service is health-checked, images are pinned, names of variables and commands are ours,
and the broker is set as the local stack's is. Not shown: that `docker compose` itself takes the file, which checks
more than the schema does, that the image builds, and that the containers run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator, ValidationError
from pydantic_settings import BaseSettings

from cli.main import VERBS
from cli.settings import Settings
from cli.stack.kafka import properties
from processor.settings import ProcessorSettings
from projections.settings import ProjectorSettings
from replays.settings import ReplaySettings

ROOT = Path(__file__).parents[2]
SPECIFICATION = Draft7Validator(
    json.loads((Path(__file__).parent / "compose_spec" / "compose-spec.json").read_text())
)
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"setup"}
OURS = {"setup", "processor", "projector", "replayer"}
OF_THE_PLACE = re.compile(
    r"listener|^log\.dirs$|^controller\.quorum|^advertised|^broker\.|^log\.cleaner|^process|^node"
)


def test_the_file_obeys_the_compose_specification() -> None:
    SPECIFICATION.validate(COMPOSE)


def test_the_schema_would_notice_a_mistake() -> None:
    wrong = {"services": {"kafka": {**SERVICES["kafka"], "helthcheck": {}}}}
    with pytest.raises(ValidationError, match="helthcheck"):
        SPECIFICATION.validate(wrong)


def test_the_services_are_those_of_the_path() -> None:
    assert set(SERVICES) == {"kafka", "postgres", *OURS}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_health_checked_or_runs_once(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
    else:
        assert service["healthcheck"]["test"][0] == "CMD"
        assert service["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_until_what_it_needs_is_ready(name: str) -> None:
    for needed, wait in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
        assert wait == {"condition": expected}


def test_images_are_pinned_to_a_release() -> None:
    foreign = [service["image"] for name, service in SERVICES.items() if name not in OURS]
    foreign += re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert all(re.search(r":\d+\.\d+", image) for image in foreign)
    assert SERVICES["kafka"]["image"] == "apache/kafka:4.1.0"


def test_nothing_listens_beyond_this_machine() -> None:
    """The database's password is in the file, and the broker has none."""
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_processes_are_given_variables_that_they_know(name: str) -> None:
    known = {
        f"LAUREL_{field.upper()}"
        for settings in (Settings, ProcessorSettings, ProjectorSettings, ReplaySettings)
        for field in settings.model_fields
    }
    assert set(SERVICES[name]["environment"]) <= known


@pytest.mark.parametrize(
    ("name", "settings"),
    [("processor", ProcessorSettings), ("projector", ProjectorSettings), ("replayer", ReplaySettings)],
)
def test_a_process_serves_the_metrics_that_its_health_check_asks_for(
    name: str, settings: type[BaseSettings]
) -> None:
    assert "metrics_port" in settings.model_fields
    assert f":{SERVICES[name]['environment']['LAUREL_METRICS_PORT']}/" in SERVICES[name]["healthcheck"]["test"][-1]


def test_our_processes_run_verbs_of_the_command_line() -> None:
    verbs = {verb.name for verb in VERBS}
    told = [SERVICES[name]["command"][0] for name in ("processor", "projector", "replayer")]
    told += re.findall(r"^laurel (\w+)", SERVICES["setup"]["command"][0], re.MULTILINE)
    assert told == ["worker", "projector", "replayer", "db", "topics", "catalog"]
    assert set(told) <= verbs


def test_the_broker_is_set_as_that_of_the_local_stack() -> None:
    lines = properties(Path("/data"), 1, 2).splitlines()
    local = dict(line.split("=", 1) for line in lines if not OF_THE_PLACE.search(line.split("=")[0]))
    told = {name: str(value) for name, value in SERVICES["kafka"]["environment"].items()}
    assert local.items() <= {name[6:].lower().replace("_", "."): value for name, value in told.items()}.items()


def test_the_image_holds_every_package_the_command_line_imports() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.MULTILINE))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert packages <= copied
    assert all((ROOT / folder).is_dir() for folder in copied)
