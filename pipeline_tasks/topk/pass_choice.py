"""Which first pass a process takes: the fast one as soon as it has scored enough for its libraries to be repaid."""

from dataclasses import dataclass
from typing import Final

REPAID: Final = 400_000_000
"""Pairs of users and items that a process scores in float32 before it loads the fast pass: about the 3.3 s that torch
and the kernels take. Whatever a process is still to score, this costs at most twice the better choice."""
SMALL_CALL: Final = 1_000_000
"""Pairs of a call that float32 keeps: 2,048 users x 200 items take 4 ms for k = 2, the fast pass 12."""


@dataclass
class Tally:
    """What a process has scored so far."""

    pairs: int = 0


TALLY: Final = Tally()


def takes_fast_pass(users: int, items: int) -> bool:
    """Count a call's pairs among those of this process, and return whether it takes the fast first pass.

    By process, not by call: a night's users come 2,048 at a time, and with 10,000 items no call alone would be worth
    it. Both passes give the same items and scores, to the bit.
    """
    pairs = users * items
    TALLY.pairs += pairs
    return pairs >= SMALL_CALL and TALLY.pairs >= REPAID
