"""What `laurel replay` refuses before anything is written: no row, no record of a catalog, no order."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete

from broker.catalogs import read_records
from broker.connections import admin
from broker.positions import last_stable_offsets
from broker.topics import places_of
from cli.catalog_files import catalog_file
from cli.stack.pipeline import prepare
from replays.shadow import shadow_namespace
from schemas.errors import Precondition
from schemas.topics import Names
from tests.commands import Laurel, Said
from tests.integration.replays import EXPLORER, PARTITIONS, Deployment, catalog

pytestmark = pytest.mark.server


async def written(deployment: Deployment) -> tuple[Any, ...]:
    kafka, names = deployment.settings.kafka, deployment.settings.names
    catalogs = [(record.catalog, record.version) for record in await read_records(kafka, names)]
    orders = await last_stable_offsets(kafka, await places_of(kafka, [names.replay_assignments]))
    return catalogs, sum(orders.values()), deployment.statuses()


@pytest.fixture
def refused(deployment: Deployment, run: Laurel):
    """Start, and see that nothing was written."""

    def start(text: str, *options: str) -> Said:
        before = asyncio.run(written(deployment))
        file = Path(deployment.file(1)).with_name("wanted.yaml")
        file.write_text(text, encoding="utf-8")
        said = run("replay", "start", "--catalog", f"{file}", *options)
        assert asyncio.run(written(deployment)) == before
        assert said.code != 0
        assert said.out == ""
        return said

    return start


def test_what_is_no_catalog_is_refused_by_its_check(deployment: Deployment, run: Laurel, refused) -> None:
    assert refused("catalog: toy").code == 1
    nowhere = run("replay", "start", "--catalog", "nowhere.yaml")
    assert (nowhere.code, "'nowhere.yaml' is no file" in nowhere.err) == (4, True)
    said = refused(catalog(2, deployment.topic).replace("partners >= 2", "partnrs >= 2"))
    assert said.code == 1
    assert "did you mean `partners`" in said.err


def test_a_catalog_older_than_what_runs_is_refused(deployment: Deployment, run: Laurel, refused) -> None:
    run("catalog", "publish", deployment.file(2), "--from-now")

    said = refused(catalog(2, deployment.topic).replace("version: 2", "version: 1"))

    assert said.code == 1
    assert "version 1" in said.err


def test_a_version_without_anything_new_is_published_not_replayed(deployment: Deployment, refused) -> None:
    said = refused(catalog(1, deployment.topic).replace("version: 1", "version: 2").replace("First", "Very first"))

    assert said.code == 4
    assert "has nothing to replay" in said.err
    assert "laurel catalog publish" in said.err


def test_a_full_reprocessing_is_refused_without_room_or_beside_another(
    deployment: Deployment, run: Laurel, refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space, something in the place of its shadow, a replay under way; and no other may begin beside it."""
    wanted = catalog(6, deployment.topic)
    monkeypatch.setenv("LAUREL_REPLAY_SPACE_RESERVE", str(2**60))
    said = refused(wanted)
    assert (said.code, "there is no space for the shadow: its topics need about" in said.err) == (4, True), said.err

    monkeypatch.delenv("LAUREL_REPLAY_SPACE_RESERVE")
    shadow = Names(shadow_namespace(deployment.settings.names, "mine"))
    with deployment.connection() as connection:
        connection.execute(f'create schema "{shadow.postgres_schema}"'.encode())
    said = refused(wanted, "--id", "mine")
    assert (said.code, f"schema {shadow.postgres_schema} already" in said.err) == (4, True), said.err

    run("replay", "start", "--catalog", deployment.file(2), "--id", "another")
    said = refused(wanted)
    assert (said.code, "replay 'another' has not ended" in said.err) == (4, True), said.err


def test_no_other_replay_is_started_beside_a_full_one(deployment: Deployment, run: Laurel, refused) -> None:
    run("replay", "start", "--catalog", deployment.file(6), "--id", "whole")

    said = refused(catalog(2, deployment.topic))

    assert (said.code, "replay 'whole' has not ended" in said.err) == (4, True), said.err
    promoted = run("replay", "promote", "whole")
    assert (promoted.code, "is not level with what runs yet" in promoted.err) == (4, True), promoted.err
    dropped = run("replay", "drop", "whole")
    assert (dropped.code, "its shadow needed" in dropped.err) == (4, True), dropped.err


def test_a_full_replay_is_told_what_it_cannot_do_now(deployment: Deployment, run: Laurel) -> None:
    """Promotion and the way back, in every standing of it, each of which the row is put in by hand."""

    def refuses(said: str, *options: str) -> None:
        told = run("replay", "promote", "whole", *options)
        assert (told.code, said in told.err) == (4, True), told.err
        assert deployment.orders() == 0

    run("replay", "start", "--catalog", deployment.file(6), "--id", "whole")
    refuses("'whole' is running: what is not promoted needs no way back", "--back")
    assert "is paused" in run("replay", "pause", "whole").out
    refuses("cannot promote replay 'whole': it is paused")
    assert run("replay", "resume", "whole", "--json").json["status"] == "running"
    assert run("replay", "resume", "whole", "--json").json["status"] == "running"
    with deployment.connection() as connection:
        connection.execute("update replay set status = 'done', ended_at = now(), dropped_at = now()")
    refuses("the shadow of replay 'whole' was dropped", "--back")
    with deployment.connection() as connection:
        connection.execute("update replay set dropped_at = null")
    refuses("brought {'toy': 6}, and {'toy': 1} runs now", "--back")
    run("replay", "start", "--catalog", deployment.file(2), "--id", "other")
    refuses("replay 'other' has not ended", "--back")
    with deployment.connection() as connection:
        connection.execute("update replay set status = 'done' where id = 'other'")
    refuses("replay 'other' was started behind the promotion of 'whole'", "--back")
    assert "cannot resume replay 'whole': it is done" in run("replay", "resume", "whole").err


def test_a_version_that_takes_away_what_a_replay_fills_is_not_published(
    deployment: Deployment, run: Laurel, tmp_path: Path
) -> None:
    """One that leaves it as it is may come; once it is called off, each may."""
    assert run("replay", "start", "--catalog", deployment.file(2), "--id", "one").code == 0
    without = tmp_path / "without.yaml"
    without.write_text(catalog(1, deployment.topic).replace("version: 1", "version: 9"), encoding="utf-8")
    before = asyncio.run(written(deployment))

    said = run("catalog", "publish", f"{without}", "--json")

    assert (said.code, "replay 'one' is at it: wait for it" in said.err) == (4, True), said.err
    assert said.json["exit_code"] == 4
    assert said.json["error"] in said.err
    with pytest.raises(Precondition, match="replay 'one' is at it"):  # as `laurel dev --catalog` publishes it
        prepare(deployment.settings, [catalog_file(f"{without}")])
    assert asyncio.run(written(deployment)) == before
    assert run("catalog", "publish", deployment.file(3)).code == 0
    with deployment.connection() as connection:
        connection.execute(b"update replay set status = 'cancelled'")
    assert run("catalog", "publish", f"{without}").code == 0


def test_approximate_dates_are_refused_where_the_past_has_to_be_read_and_written_down_where_not(
    deployment: Deployment, run: Laurel, refused
) -> None:
    said = refused(catalog(2, deployment.topic), "--dates", "approximate")
    assert (said.code, "nobody has counted toy/partners, toy/days yet" in said.err) == (4, True), said.err

    file = Path(deployment.file(1)).with_name("more.yaml")
    file.write_text(catalog(1, deployment.topic).replace("version: 1", "version: 2") + EXPLORER, encoding="utf-8")
    assert "--dates approximate would read no past" in run("replay", "plan", "--catalog", f"{file}").out
    started = run("replay", "start", "--catalog", f"{file}", "--dates", "approximate", "--json").json
    assert (started["kind"], started["dates"]) == ("sweep", "approximate")
    assert deployment.rows("select details ->> 'dates' from replay_audit") == [("approximate",)]


def test_a_truncated_log_needs_the_word_and_is_told_with_its_date(
    deployment: Deployment, run: Laurel, refused
) -> None:
    deployment.publish(200)
    asyncio.run(truncate(deployment, 10))

    said = refused(catalog(2, deployment.topic))

    assert said.code == 4
    assert "has lost all before offset 10, of 20" in said.err
    assert "--accept-truncated" in said.err
    accepted = run("replay", "start", "--catalog", deployment.file(2), "--accept-truncated", "--json")
    assert accepted.code == 0
    assert "has lost all before offset" in accepted.json["plan"]["truncated"][0]


async def truncate(deployment: Deployment, offset: int) -> None:
    async with admin(deployment.settings.kafka) as client:
        await client.delete_records({TopicPartition(deployment.topic, 0): RecordsToDelete(before_offset=offset)})


def test_a_plan_that_is_older_than_what_runs_is_refused(deployment: Deployment, run: Laurel, refused) -> None:
    planned = run("replay", "plan", "--catalog", deployment.file(2), "--json")
    assert planned.code == 0, planned.err
    file = Path(deployment.file(1)).with_name("plan.json")
    file.write_text(planned.out)

    said = refused(catalog(3, deployment.topic), "--plan", f"{file}")

    assert said.code == 4
    assert "the plan is not of this any more" in said.err
    assert run("replay", "start", "--catalog", deployment.file(2), "--plan", f"{file}").code == 0


def test_a_number_of_partitions_that_changed_is_refused(deployment: Deployment, refused) -> None:
    asyncio.run(grow(deployment))

    said = refused(catalog(2, deployment.topic))

    assert said.code == 4
    assert f"has {PARTITIONS} partitions, the state has {PARTITIONS + 1}" in said.err


def test_partitions_that_came_since_it_was_started_fail_a_replay_with_the_reason(
    deployment: Deployment, run: Laurel
) -> None:
    id = run("replay", "start", "--catalog", deployment.file(2), "--json").json["id"]
    asyncio.run(grow(deployment))

    job = deployment.replay(2)

    assert (job.end(), job.answer()["status"]) == (1, "failed")
    assert len(job.out.splitlines()) == 1, "what is logged goes elsewhere"
    assert f"was started on {PARTITIONS} partitions, the state has {PARTITIONS + 1} now" in job.answer()["failure"]
    assert f"{id}: failed: replay '{id}' was started on" in run("replay", "status", id).out


async def grow(deployment: Deployment) -> None:
    async with admin(deployment.settings.kafka) as client:
        await client.create_partitions({deployment.settings.names.changelog: NewPartitions(PARTITIONS + 1)})


@pytest.mark.parametrize("away", ["LAUREL_POSTGRES", "LAUREL_KAFKA"])
def test_without_servers_it_says_what_to_do(
    deployment: Deployment, run: Laurel, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    nowhere = {"LAUREL_POSTGRES": "postgresql://127.0.0.1:1/none", "LAUREL_KAFKA": "127.0.0.1:1"}
    monkeypatch.setenv(away, nowhere[away])

    said = run("replay", "start", "--catalog", deployment.file(2))

    assert said.code == 4
    assert "laurel dev" in said.err or away in said.err


def test_without_the_registrys_tables_it_says_how_to_make_them(
    deployment: Deployment, run: Laurel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUREL_NAMESPACE", "nobodys")

    said = run("replay", "status")

    assert (said.code, "laurel db upgrade" in said.err) == (4, True)


def test_replays_are_listed_for_programs_and_for_people(deployment: Deployment, run: Laurel) -> None:
    assert run("replay", "status", "--json").json == {"replays": []}
    assert "no replay yet" in run("replay", "status").out
    id = json.loads(run("replay", "start", "--catalog", deployment.file(2), "--json").out)["id"]
    run("replay", "pause", id)

    (listed,) = run("replay", "status", "--json").json["replays"]
    assert (listed["id"], listed["status"], listed["who"]) == (id, "paused", "ada")
    assert f"{id}: paused by ada at" in run("replay", "status", id).out
    shown = run("replay", "status", id, "--json").json
    assert (shown["paused_by"], shown["filling"]) == ("ada", [["toy", "partners"], ["toy", "days"]])
    unknown = run("replay", "status", "nobody")
    assert (unknown.code, "there is no replay 'nobody'" in unknown.err) == (4, True)
    assert run("replay", "status", "--watch").code == 2
