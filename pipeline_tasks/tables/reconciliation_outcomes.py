"""What may become of a landed row: the values of `reconciliation.outcome`, for each kind of delivery."""

from typing import Final, NamedTuple


class Outcomes(NamedTuple):
    """Names of the outcomes of one kind of delivery; each row that came in has one of the others."""

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
"""Of a catalog and of a list of users, where the shop delivers them as files of their own."""
WAITING: Final = "waiting"
"""Of landed events: later than the night, and cleaned by the night of their own day."""
BEFORE_WINDOW: Final = "before_window"
"""Of landed events: of a day before the window of every night that was cleaned so far."""
UNCLEANED: Final = (WAITING, BEFORE_WINDOW)
