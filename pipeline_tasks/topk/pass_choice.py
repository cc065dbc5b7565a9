"""The choice of the first pass: the fast one once a process has scored enough to repay the load of its libraries."""

from dataclasses import dataclass
from typing import Final

REPAID: Final = 400_000_000
"""Pairs of users and items that a process scores in float32 before it loads the fast pass. That takes about the 3.3 s
that torch and the kernels take to load. For any further work, this costs at most twice the better choice."""
SMALL_CALL: Final = 1_000_000
"""Pairs below which a call stays in float32: 2,048 users x 200 items take 4 ms for k = 2, the fast pass 12."""


@dataclass
class Tally:
    """Pairs that a process has scored so far."""

    pairs: int = 0


TALLY: Final = Tally()


def takes_fast_pass(users: int, items: int) -> bool:
    """Add a call's pairs to the tally of this process, and return whether the call takes the fast first pass.

    Pairs are counted by process, not by call: users come 2,048 at a time, and with 10,000 items no single call would
    repay the load. Both passes give bitwise equal items and scores.
    """
    pairs = users * items
    TALLY.pairs += pairs
    return pairs >= SMALL_CALL and TALLY.pairs >= REPAID
