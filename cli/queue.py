"""`laurel queue`: a notification service without any library. Everything is said in JSON."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from cli.awards import rfc3339
from cli.output import print_json
from cli.postgres import read_models
from cli.settings import Settings
from projections import notification_queue
from projections.notification_queue import DEFAULT_SUBSCRIBER, Delivery

app = typer.Typer(no_args_is_help=True, help="Claim and acknowledge notifications, without any library.")

LeaseArgument = Annotated[UUID, typer.Argument(help="The lease that `claim` gave.")]
NotificationsArgument = Annotated[list[UUID], typer.Argument(help="Ids of notifications claimed under it.")]


@app.command()
def claim(
    count: Annotated[int, typer.Option("--count", "-n", help="At most so many.")] = 10,
    lease_seconds: Annotated[float, typer.Option(help="How long nobody else may claim them.")] = 60,
    subscriber: Annotated[str, typer.Option(help="Whose deliveries.")] = DEFAULT_SUBSCRIBER,
) -> None:
    """Print {"lease", "deliveries": […]}: what is due, under a lease. Deliver, then `ack` with that lease."""
    with read_models(Settings()) as connection:
        claimed = notification_queue.claim(connection, count, lease_seconds, subscriber)
    print_json({"lease": claimed.lease, "deliveries": [told(delivery) for delivery in claimed.deliveries]})


@app.command()
def ack(lease: LeaseArgument, notifications: NotificationsArgument) -> None:
    """These were delivered. Exit code 1 when some are no longer held under the lease."""
    with read_models(Settings()) as connection:
        notification_queue.acknowledge(connection, lease, notifications)
    print_json({"lease": lease, "done": notifications})


@app.command()
def nack(
    lease: LeaseArgument,
    notifications: NotificationsArgument,
    error: Annotated[str, typer.Option(help="Why; kept with the delivery.")] = "not delivered",
) -> None:
    """These could not be delivered: due again after a growing pause, dead after too many attempts."""
    with read_models(Settings()) as connection:
        notification_queue.give_back(connection, lease, notifications, error)
    print_json({"lease": lease, "returned": notifications})


@app.command()
def extend(
    lease: LeaseArgument,
    notifications: NotificationsArgument,
    lease_seconds: Annotated[float, typer.Option(help="How long from now nobody else may claim them.")] = 60,
) -> None:
    """Delivering takes longer: keep these under their lease. Exit code 1 when some are no longer held."""
    with read_models(Settings()) as connection:
        notification_queue.extend(connection, lease, notifications, lease_seconds)
    print_json({"lease": lease, "extended": notifications, "seconds": lease_seconds})


def told(delivery: Delivery) -> dict[str, Any]:
    times = {"lease_until": rfc3339(delivery.lease_until), "created_at": rfc3339(delivery.created_at)}
    return {**delivery._asdict(), **times}
