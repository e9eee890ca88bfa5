"""`laurel replay`: give what people have earned before there was anything to earn."""

from __future__ import annotations

import typer

from cli.replay import diff, plan, promotion, start, status, verdicts

app = typer.Typer(no_args_is_help=True, help="Give what people have already earned: online, exactly, unnoticed.")

app.command("plan")(plan.plan)
app.command("start")(start.start)
app.command("status")(status.status)
app.command("pause")(verdicts.pause)
app.command("resume")(verdicts.resume)
app.command("cancel")(verdicts.cancel)
app.command("diff")(diff.diff)
app.command("promote")(promotion.promote)
app.command("drop")(promotion.drop)
