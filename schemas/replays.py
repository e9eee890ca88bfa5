"""What a replay tells the owners of the partitions, and what they note of it.

Records of the replay-assignments topic, each sent to its partition explicitly, in msgpack. Those of a user have the
user as their key, all others have none. A partition's owner folds them like any source: what it notes commits with
the checkpoint, in the control record, and the job reads it there.

    publish                                 run these versions from here on
    prepare -> base … -> end -> activate -> facts … -> done
               late …        |                   `-> values …
                             `-> cancel, at any time before activate

From prepare on the new achievements are muted (they award nothing) and the new metrics fill (they count, and show
and cross nothing). A base is what a user's new metrics came to before the cut; the owner merges it in. With
activate nothing is muted any more: the facts are the crossings of before, as a fold from zero found them.

    hold -> settle … -> rehearse -> promote full reprocessing; release, at any time before promote, lets go

A shadow, a namespace of its own, has folded the whole log by the new versions, never past what is committed here.
With hold the sources and the commands stand still; what was derived of them is folded up to where settle says. When
the shadow stands at the same positions, the owners rehearse: what speaks against it is known before it is decided.
Promote puts the shadow's states in the place of those here, in one checkpoint, and those of here in the shadow: it
can go on from them, for a way back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

Notify = Literal["none", "digest", "all"]
Policy = Literal["keep", "revoke", "legacy"]
"""What becomes of awards that the new rules do not give: they stay (with legacy they are marked), or go."""
Phase = Literal["filling", "ready", "active", "held", "settled", "released", "done", "cancelled"]
Dates = Literal["exact", "approximate"]
"""When something was earned, by a replay: approximate is when the metric last moved, for which no past is read."""
Named = tuple[str, str]
"""Of a catalog: (catalog, key of a metric) or (catalog, reference of an achievement)."""


class Publish(msgspec.Struct, frozen=True, kw_only=True, tag="publish"):
    """Run these versions from here on. Lower ones than run are passed over.

    With from_now what cancelled replays of these catalogs have left muted or half filled begins here, at 0.
    """

    catalogs: dict[str, int]
    from_now: bool = False


class Prepare(msgspec.Struct, frozen=True, kw_only=True, tag="prepare"):
    """Run these versions; mute and fill. A second one of a replay, or one behind its cancel, changes nothing."""

    replay: str
    catalogs: dict[str, int]
    muted: list[Named] = []
    filling: list[Named] = []
    notify: Notify = "digest"


class Base(msgspec.Struct, frozen=True, kw_only=True, tag="base"):
    """What a user's filling metrics came to before the cut. A second one of the same replay changes nothing.

    Shapes: slots is first slot of a metric -> the values of its slots, as the state keeps them (an edge slot has an
    entry of its own, with one value).
    """

    replay: str
    slots: dict[int, list[Any]]


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end"):
    """All bases of this partition are sent. Shapes: users, how many have one."""

    replay: str
    users: int


class Activate(msgspec.Struct, frozen=True, kw_only=True, tag="activate"):
    replay: str


class Cancel(msgspec.Struct, frozen=True, kw_only=True, tag="cancel"):
    replay: str


class Threshold(msgspec.Struct, frozen=True, kw_only=True, tag="threshold"):
    """A metric reached a threshold. Units: crossed_at, microseconds since 1970. Shapes: value, what it came to."""

    catalog: str
    metric: str
    at: int
    value: int
    crossed_at: int


class InPeriod(msgspec.Struct, frozen=True, kw_only=True, tag="period"):
    """The same of one period of a metric with `every`."""

    catalog: str
    metric: str
    at: int
    period: int
    value: int
    crossed_at: int


class ByEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="event"):
    """An award that a record gave: being one itself, or by conditions that the values of now cannot tell.

    Shapes: n, how often it was lost before; lost, whether it was lost since, and not given again.
    """

    catalog: str
    achievement: str
    scope: str
    crossed_at: int
    n: int = 0
    lost: bool = False


Crossing = Threshold | InPeriod | ByEvent


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the past and what it crossed: all that an award needs. Units: timestamp, append time in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes
    headers: list[tuple[str, bytes | None]] = []
    crossings: list[Crossing]


def judged_by(facts: Iterable[Fact]) -> frozenset[Named]:
    """Awards that these facts give by themselves."""
    crossings = (each for fact in facts for each in fact.crossings)
    return frozenset((each.catalog, each.achievement) for each in crossings if isinstance(each, ByEvent))


class Facts(msgspec.Struct, frozen=True, kw_only=True, tag="facts"):
    """What a user crossed before activate, in the order of the log; empty for one who has a value and no crossing.

    From here on the user's metrics of this replay are shown. What the user holds already is not given again. Behind
    the last one comes what live events have crossed meanwhile, which waited for it.

    Shapes: judged are all awards that a `ByEvent` of the user's facts gives, those of later lists too.
    """

    replay: str
    facts: list[Fact] = []
    judged: list[Named] = []
    last: bool = False


class Values(msgspec.Struct, frozen=True, kw_only=True, tag="values"):
    """In place of a user's facts, where dates are approximate: what the user's state says of the past.

    Shapes: of an award that asks for nothing but others a ByEvent, at its true time.
    """

    replay: str
    crossings: list[Threshold | ByEvent]


class LostScope(msgspec.Struct, frozen=True, kw_only=True):
    """An award of one scope, as it was told. Units: earned_at, microseconds since 1970."""

    scope: str
    n: int
    earned_at: int


class LostScopes(msgspec.Struct, frozen=True, kw_only=True):
    """Of an achievement that is given once for each scope."""

    catalog: str
    achievement: str
    scopes: list[LostScope]


class Revoke(msgspec.Struct, frozen=True, kw_only=True, tag="revoke"):
    """Take these awards from a user who holds them: the operator's policy for what a changed rule gave before."""

    replay: str
    awards: list[Named]
    scopes: list[LostScopes] = []


class Late(msgspec.Struct, frozen=True, kw_only=True, tag="late"):
    """A record that was not counted when its place in the log was read: fold it as if it arrived now.

    Those of a topic come in the order of their offsets, between prepare and end; at or below the last one nothing
    changes. Shapes: partition, the record's own. Units: timestamp, append time in ms.
    """

    replay: str
    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: list[tuple[str, bytes | None]] = []


class Done(msgspec.Struct, frozen=True, kw_only=True, tag="done"):
    """All facts of this partition are sent: nothing waits for any, and the outcome `replay_completed` follows."""

    replay: str


class Hold(msgspec.Struct, frozen=True, kw_only=True, tag="hold"):
    """Fold nothing more of sources and commands.

    Shapes: attempt counts up. What has one that was released, or a lower one, changes nothing.
    """

    replay: str
    attempt: int = 1


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag="settle"):
    """All partitions hold: fold the derived topic up to here and no further. A later one may say a later end.

    Copies that are folded may derive: a job sends it again until no partition's derived topic has grown. Shapes:
    derived, where what is committed of this partition of the derived topic ends.
    """

    replay: str
    attempt: int = 1
    derived: int


class Release(msgspec.Struct, frozen=True, kw_only=True, tag="release"):
    """Go on as before the hold."""

    replay: str
    attempt: int = 1


class Promote(msgspec.Struct, frozen=True, kw_only=True, tag="promote"):
    """Put the states of the shadow, a namespace, in the place of those here, and run these versions.

    What cannot be is noted as `refused`, and changes nothing: a job may mend it and send another.
    """

    replay: str
    attempt: int = 1
    shadow: str
    catalogs: dict[str, int]
    policy: Policy = "keep"
    notify: Notify = "digest"


class Rehearse(Promote, frozen=True, kw_only=True, tag="rehearse"):
    """Find out whether this could be promoted: what cannot is noted as `refused`. Nothing else changes."""


ReplayOrder = (
    Publish
    | Prepare
    | Base
    | End
    | Activate
    | Cancel
    | Facts
    | Values
    | Revoke
    | Late
    | Done
    | Hold
    | Settle
    | Release
    | Promote
    | Rehearse
)


class ReplayNote(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a partition's control record says of a replay.

    Shapes: cut and active_at map a source topic to the next offset when prepare and activate were folded; users is
    how many have got a base, expected what the end marker said. A cancelled one keeps what is muted and fills,
    until another replay takes it over; nothing else. `revoked` when it took awards back, which may be earned anew.
    Of a full one that is held, cut is how far each lane of the sources is folded and no further, also that of the
    derived topic once it is settled; refused says why the last promote or rehearsal could not be. One that is
    promoted and done keeps its cut: the states hold what `catalogs` made of all below it. So does one that has
    filled something, with what it filled. late maps a source topic to the last offset that was folded late. told is
    there in a shadow that keeps the states of before the promotion: where what it tells from there on begins in its
    outcomes. unmet are achievements of which somebody keeps an award that what was promoted does not give, where
    that is to be marked.
    """

    phase: Phase
    cut: dict[str, int] = {}
    active_at: dict[str, int] = {}
    muted: list[Named] = []
    filling: list[Named] = []
    notify: Notify = "digest"
    users: int = 0
    expected: int | None = None
    revoked: bool = False
    attempt: int = 0
    refused: str | None = None
    promoted: bool = False
    catalogs: dict[str, int] = {}
    late: dict[str, int] = {}
    told: int | None = None
    unmet: list[Named] = []


encode_order = msgspec.msgpack.Encoder().encode
decode_order = msgspec.msgpack.Decoder(ReplayOrder).decode
