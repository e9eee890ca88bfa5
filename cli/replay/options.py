"""What the verbs of `laurel replay` have in common."""

from __future__ import annotations

from typing import Annotated

import typer

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="As `laurel replay start` and `laurel replay status` tell it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
