"""The target of a rollback. This module does not import MLflow, because the DAG's form imports it."""

from datetime import date
from typing import Literal

from pydantic import BaseModel

What = Literal["both", "champion", "tables"]


class RollbackTarget(BaseModel):
    """The publication to go back to. A rollback to it can be repeated with the same result."""

    source: str
    what: What
    ds: date
    until_ms: int
    through: date | None
    """Rows of later days are removed, where a day was named. None restores exactly the rows of that time."""
    version: str | None
    """Version of the champion at that time; None where only the tables are restored."""

    def __str__(self) -> str:
        champion = f", champion version {self.version}" if self.version else ""
        return f"back to {self.source} {self.ds}{champion} ({self.what})"
