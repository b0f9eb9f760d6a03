"""What a writer decides about drafts without looking at any state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ledger.commit import Draft
from ledger.errors import RuleViolation
from ledger.events import EventReversed
from ledger.store import Reply

__all__ = ["check_own_ids", "claimed", "is_reversal", "together"]

_RULE_OF_CLAIM: Final = {"o": "order-exists", "p": "position-exists", "s": "session-exists"}
_NAME_OF_CLAIM: Final = {"o": "order", "p": "position", "s": "session"}
_TYPE_OF_CLAIM: Final = {"o": "OrderPlaced", "p": "PositionOpened", "s": "SessionStarted"}


def together(drafts: Sequence[Draft]) -> Sequence[Draft]:
    """The drafts that can be sent at once: what decides over other streams goes alone."""
    for index, draft in enumerate(drafts):
        if "" in draft.streams or is_reversal(draft):
            return drafts[: index or 1]
    return drafts


def is_reversal(draft: Draft) -> bool:
    """Whether the draft takes an earlier event back; such a draft holds nothing else."""
    return isinstance(draft.events[0], EventReversed)


def check_own_ids(draft: Draft) -> None:
    """An id that is used once in the portfolio is used once in the commit."""
    if len(set(draft.claims)) == len(draft.claims):
        return
    twice = next(claim for claim in draft.claims if draft.claims.count(claim) > 1)
    kind, _, name = twice.partition(":")
    raise RuleViolation(
        _RULE_OF_CLAIM[kind],
        f"{_NAME_OF_CLAIM[kind]} id {name} stands twice in the commit",
        hint=f"give every {_NAME_OF_CLAIM[kind]} an id of its own",
        event_type=_TYPE_OF_CLAIM[kind],
    )


def claimed(reply: Reply) -> RuleViolation:
    """Build the refusal of an id that was used before, possibly in another symbol."""
    _, field, seq = (part.decode() for part in reply)
    kind, _, name = field.partition(":")
    return RuleViolation(
        _RULE_OF_CLAIM[kind],
        f"{_NAME_OF_CLAIM[kind]} id {name} was used before, in the commit that ends at #{seq}",
        hint=f"give every {_NAME_OF_CLAIM[kind]} an id of its own",
        event_type=_TYPE_OF_CLAIM[kind],
    )
