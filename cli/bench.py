"""`laurel bench`: what things cost, on real servers, counted only when what came out is right."""

from __future__ import annotations

import typer

from cli.benches import curves, language, latency, peers, processor, projection, replay, restore, scan

app = typer.Typer(help="Measure speed, latency and memory; outputs must be right.", no_args_is_help=True)

app.command("run")(processor.run)
app.command("quick")(processor.quick)
app.command("peers")(peers.peers)
app.command("latency")(latency.latency)
app.command("definitions")(curves.definitions)
app.command("users")(curves.users)
app.command("language")(language.language)
app.command("restore")(restore.restore)
app.command("projection")(projection.measure)
app.command("scan")(scan.scan)
app.command("replay")(replay.replay)
