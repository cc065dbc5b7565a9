"""Where a way back leads; imports no MLflow: the form's field is made of it."""

from datetime import date
from typing import Literal

from pydantic import BaseModel

What = Literal["both", "champion", "tables"]


class RollbackTarget(BaseModel):
    """A settled target: whoever follows it again comes to the same place."""

    source: str
    what: What
    night: date
    until_ms: int
    through: date | None
    """Nights after it go, where a night was named; None: just what was there at the time."""
    version: str | None
    """Of the champion then; None where only tables are meant."""

    def __str__(self) -> str:
        champion = f", champion version {self.version}" if self.version else ""
        return f"back to {self.source} {self.night}{champion} ({self.what})"
