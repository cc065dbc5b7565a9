"""Outcomes of landed rows: the values of `reconciliation.outcome`, for each kind of delivery."""

from typing import Final, NamedTuple


class Outcomes(NamedTuple):
    """Names of the outcomes of one kind of delivery. Each row of `rows_in` has exactly one of the others."""

    rows_in: str
    accepted: str
    quarantine: str
    duplicate: str
    forgotten: str


EVENTS: Final = Outcomes("rows_in", "event", "quarantine", "duplicate", "forgotten")
CATALOGS: Final = {
    kind: Outcomes(f"{kind}_in", f"{kind}_accepted", f"{kind}_quarantine", f"{kind}_duplicate", f"{kind}_forgotten")
    for kind in ("items", "users")
}
"""Outcomes of items and users that the shop delivers as separate files."""
WAITING: Final = "waiting"
"""Outcome of landed events later than the run's date; the run of their own day cleans them."""
BEFORE_WINDOW: Final = "before_window"
"""Outcome of landed events of a day before the window of every run so far."""
UNCLEANED: Final = (WAITING, BEFORE_WINDOW)
