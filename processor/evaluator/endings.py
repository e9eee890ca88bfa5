"""What a promotion takes back, where that is the policy: awards that the new rules do not give.

States keep scopes as hashes. Their words, and how often each was given before, are in what was told here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from xxhash import xxh3_64_digest

from processor.evaluator.entries import Entry
from processor.evaluator.facts import FactBooks
from processor.evaluator.revocation import award_reason
from processor.evaluator.telling import AwardTeller, Cause
from schemas.outcomes import CatalogReason, Outcome, Reason, decode_any_outcome
from schemas.replays import Promote
from schemas.state import AwardEntry
from schemas.zones import moment_of

EntryOf = Callable[[FactBooks, str, str], Entry | None]
Scope = tuple[str, bytes]
"""An identity of an award, and the hash of the scope."""


@dataclass
class Loss:
    """A scope that goes. Shapes: given is the last unlock of it, once it was heard."""

    entry: Entry
    reasons: list[Reason]
    given: Outcome | None = None


class Endings:
    """Of one partition.

    Shapes: versions is what runs from here on; `entry_of` finds any achievement that was ever in a catalog.
    """

    def __init__(
        self,
        order: Promote,
        before: FactBooks,
        after: FactBooks,
        versions: Mapping[str, int],
        cause_of: Callable[[bytes], Cause],
        entry_of: EntryOf,
    ) -> None:
        self._order, self._before, self._after = order, before, after
        self._versions, self._cause_of, self._entry_of = versions, cause_of, entry_of
        self._scopes: dict[bytes, dict[Scope, Loss]] = {}
        self.outcomes: list[tuple[bytes, bytes]] = []

    def entry(self, identity: str) -> Entry | None:
        """By which such an award goes; None where it stays."""
        if self._order.policy != "revoke":
            return None
        return self._entry_of(self._before, *parted(identity))

    def end(self, user: bytes, identity: str, held: AwardEntry, gone: Collection[str]) -> None:
        """Shapes: gone are all awards that this user loses."""
        entry = self.entry(identity)
        assert entry is not None, "only what may go is ended"
        reasons = self._reasons(identity, gone)
        told = self._teller(entry).revoked(self._cause_of(user), moment_of(held.at), held.revoked, reasons)
        self.outcomes.append((user, told))

    def end_scopes(self, user: bytes, identity: str, scopes: Iterable[bytes], gone: Collection[str]) -> None:
        entry = self.entry(identity)
        assert entry is not None, "only what may go is ended"
        reasons = self._reasons(identity, gone)
        self._scopes.setdefault(user, {}).update({(identity, each): Loss(entry, reasons) for each in scopes})

    def _reasons(self, identity: str, gone: Collection[str]) -> list[Reason]:
        """The new version; of what requires something that goes, the chain from there."""
        catalog, reference = parted(identity)
        entry = self._entry_of(self._after, catalog, reference)
        required = () if entry is None else entry.spec.requires
        lost = next((each for each in required if f"{catalog}/{each}" in gone), None)
        if lost is None:
            return [CatalogReason(catalog_version=self._versions[catalog])]
        return [*self._reasons(f"{catalog}/{lost}", gone), award_reason(lost)]

    def _teller(self, entry: Entry) -> AwardTeller:
        return self._before.rules[entry.board].teller(entry)

    # --- the words of scopes ---

    def recall(self, user: bytes | None, value: bytes) -> None:
        """What was told here, in its order."""
        losses = self._scopes.get(user) if user is not None else None
        if not losses:
            return
        outcome = decode_any_outcome(value)
        if isinstance(outcome, Outcome) and (loss := losses.get(scope_of(outcome))) is not None:
            loss.given = outcome

    @property
    def unsaid(self) -> Iterator[tuple[bytes, Scope]]:
        """Scopes that go, and of which no outcome says the word."""
        return ((user, scope) for user, scope, loss in self._losses() if loss.given is None)

    @property
    def has_scopes(self) -> bool:
        return bool(self._scopes)

    def tell_scopes(self) -> None:
        """Once all of it is recalled."""
        for user, _, loss in self._losses():
            if loss.given is not None:
                said = loss.given.data
                told = self._teller(loss.entry).revoked(
                    self._cause_of(user), said.earned_at, said.n, loss.reasons, said.scope
                )
                self.outcomes.append((user, told))

    def _losses(self) -> Iterator[tuple[bytes, Scope, Loss]]:
        return ((user, scope, loss) for user, losses in self._scopes.items() for scope, loss in losses.items())


def scope_of(outcome: Outcome) -> Scope:
    return identity_of(outcome), xxh3_64_digest(outcome.data.scope.encode())


def identity_of(outcome: Outcome) -> str:
    said = outcome.data
    return "/".join(part for part in (said.catalog, said.achievement, said.tier) if part)


def parted(identity: str) -> tuple[str, str]:
    catalog, _, reference = identity.partition("/")
    return catalog, reference
