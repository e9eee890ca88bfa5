"""`laurel doctor`: one page that says what is wrong and what to do."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cli.diagnosis import Finding, Status, diagnose
from cli.kafka import run
from cli.output import print_json
from cli.settings import Settings
from schemas.errors import Precondition

PROBLEMS = 5
STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def command(as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False) -> None:
    """Look at the broker, topics, catalogs, workers, projectors, Postgres and the queue; change nothing.

    Each line is ok, warn or fail, and says what to do. Exit code 0 without a fail, 5 with one, 4 when no broker
    answers.
    """
    diagnosis = run(diagnose(Settings()))
    if as_json:
        print_json({"findings": [finding._asdict() for finding in diagnosis.findings]})
    else:
        _print(diagnosis.findings)
    if not diagnosis.broker_answers:
        raise typer.Exit(Precondition.exit_code)
    if any(finding.status == "fail" for finding in diagnosis.findings):
        raise typer.Exit(PROBLEMS)


def _print(findings: list[Finding]) -> None:
    console = Console(soft_wrap=True, highlight=False)
    for finding in findings:
        console.print(
            Text(f"{finding.status:5}", STYLES[finding.status]), Text(f"{finding.subject:17}"), finding.said
        )
        if finding.remedy:
            console.print(Text(f"{'':23} {finding.remedy}"))
