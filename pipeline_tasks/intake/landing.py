"""What has been landed: ``landing/<source>/<kind>/ds=…/arrived=…/*.parquet`` and a ledger of the deliveries in it."""

import hashlib
import shutil
from collections.abc import Iterable
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

import pyarrow.parquet as pq
from pydantic import BaseModel

from pipeline_tasks.settings import Settings
from pipeline_tasks.storage.whole_file import write_whole

_GONE: Final = "gone-"
"""Begins the name of a landed part that another is about to take the place of."""
Kind = Literal["events", "items", "users"]


class LandedDay(BaseModel):
    """Rows of one event day out of one delivery."""

    rows: int
    content: str
    """Sum of the hashes of its records: equal for the same records in any order."""


class Delivery(BaseModel):
    """What the shop delivered for one day."""

    fingerprint: str
    """Of the files and of the way they are read."""
    days: dict[date, LandedDay] = {}
    columns: list[str] = []
    """Names and types of the columns landed."""


class Ledger(BaseModel):
    """All deliveries of one kind of record, by the day they arrived."""

    deliveries: dict[date, Delivery] = {}
    whole: str = ""
    """Fingerprint of the file of many days that was landed from its first day on."""
    undated: list[date] = []
    """Days under which records without a day of their own were booked, where files do not name theirs."""

    def rows(self, ds: date) -> int:
        """Return how many rows were landed for the event day."""
        return sum(landed.rows for _, landed in self._by_day.get(ds, []))

    def days(self) -> list[date]:
        """Return the event days that hold rows, oldest first."""
        return sorted(self._by_day)

    def differing_columns(self, days: list[date]) -> bool:
        """Whether the rows of the event days were landed with different columns."""
        wanted = set(days)
        seen = {tuple(one.columns) for one in self.deliveries.values() if wanted & one.days.keys()}
        return len(seen) > 1

    def content(self, ds: date) -> str:
        """Return a hash of all that was landed for the event day."""
        parts = [f"{arrived} {landed.rows} {landed.content}" for arrived, landed in self._by_day.get(ds, [])]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def _by_day(self) -> dict[date, list[tuple[date, LandedDay]]]:
        """What each event day got, by the day it arrived: 15 years have 5,000 of either, never looked up all by all."""
        found: dict[date, list[tuple[date, LandedDay]]] = {}
        for arrived, delivery in sorted(self.deliveries.items()):
            for ds, landed in delivery.days.items():
                found.setdefault(ds, []).append((arrived, landed))
        return found


class Landing:
    """Landed records of one kind of one source."""

    def __init__(self, settings: Settings, source: str, kind: Kind) -> None:
        self.folder = settings.landing / source / kind

    def ledger(self) -> Ledger:
        """Return the ledger, empty when nothing was landed yet."""
        path = self.folder / "deliveries.json"
        return Ledger.model_validate_json(path.read_text()) if path.exists() else Ledger()

    def incoming(self) -> Path:
        """Return an empty folder to write a delivery into before it is taken in."""
        path = self.folder / "incoming"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def take_in(
        self, incoming: Path, fingerprints: dict[date, str], whole: str = "", undated: Iterable[date] = ()
    ) -> None:
        """Move `incoming` (``ds=…/arrived=…``) into place as the whole content of the deliveries `fingerprints`."""
        ledger = self.ledger()
        ledger.whole = whole or ledger.whole
        ledger.undated = sorted({*ledger.undated, *undated})
        landed, columns = _measure(incoming), _columns(incoming)
        for arrived, mark in fingerprints.items():
            for ds in ledger.deliveries.get(arrived, Delivery(fingerprint="")).days:
                shutil.rmtree(self._part(ds, arrived), ignore_errors=True)
            ledger.deliveries[arrived] = Delivery(fingerprint=mark, days=landed.get(arrived, {}), columns=columns)
            for ds in landed.get(arrived, {}):
                shutil.rmtree(self._part(ds, arrived), ignore_errors=True)
                self._part(ds, arrived).parent.mkdir(parents=True, exist_ok=True)
                (incoming / f"ds={ds}" / f"arrived={arrived}").rename(self._part(ds, arrived))
        write_whole(self.folder / "deliveries.json", ledger.model_dump_json(indent=1))
        shutil.rmtree(incoming, ignore_errors=True)

    def replace_parts(self, incoming: Path, parts: Iterable[tuple[date, date]]) -> None:
        """Put what lies in `incoming` in the place of parts (event day, day of arrival); one that it lacks is gone.

        The deliveries keep their fingerprints: the shop's files are the same, and are not landed again.
        """
        ledger, landed, replaced = self.ledger(), _measure(incoming), list(parts)
        for ds, arrived in replaced:
            days = ledger.deliveries[arrived].days
            if ds in landed.get(arrived, {}):
                days[ds] = landed[arrived][ds]
            else:
                days.pop(ds, None)
        # First: where it ends on the way, the parts that are left are found and replaced by the next attempt.
        write_whole(self.folder / "deliveries.json", ledger.model_dump_json(indent=1))
        for ds, arrived in replaced:
            part, gone = self._part(ds, arrived), self._part(ds, arrived).with_name(f"{_GONE}{arrived}")
            part.rename(gone)
            if ds in landed.get(arrived, {}):
                (incoming / f"ds={ds}" / f"arrived={arrived}").rename(part)
            shutil.rmtree(gone)
        shutil.rmtree(incoming, ignore_errors=True)

    def put_back(self) -> None:
        """Undo what a kill within `replace_parts` left: a part that no other took the place of stands there again."""
        for gone in self.folder.glob(f"ds=*/{_GONE}*"):
            part = gone.with_name(f"arrived={gone.name.removeprefix(_GONE)}")
            if part.exists():
                shutil.rmtree(gone)
            else:
                gone.rename(part)

    def days_on_disk(self) -> list[date]:
        """Return the event days that have a folder, whatever the ledger says of them, oldest first."""
        return sorted(date.fromisoformat(path.name.removeprefix("ds=")) for path in self.folder.glob("ds=*"))

    def files(self, days: list[date]) -> list[str]:
        """Return the landed files of the event days."""
        return [str(file) for ds in days for file in sorted(self.folder.glob(f"ds={ds}/arrived=*/*.parquet"))]

    def _part(self, ds: date, arrived: date) -> Path:
        return self.folder / f"ds={ds}" / f"arrived={arrived}"


def arrivals(incoming: Path) -> list[date]:
    """Return the days of delivery that were written below `incoming`."""
    return sorted({date.fromisoformat(part.name.removeprefix("arrived=")) for part in incoming.glob("ds=*/arrived=*")})


def _columns(incoming: Path) -> list[str]:
    file = next(incoming.glob("ds=*/arrived=*/*.parquet"), None)
    return [f"{field.name} {field.type}" for field in pq.read_schema(file)] if file else []


def _measure(incoming: Path) -> dict[date, dict[date, LandedDay]]:
    """Return what lies in `incoming`, by arrival and event day. DuckDB reads one narrow column: no Spark job."""
    if not any(incoming.glob("ds=*/arrived=*/*.parquet")):
        return {}
    # Imported here: later steps read the ledger alone, and a process without DuckDB ends sooner (see clear_exit).
    import duckdb

    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT arrived::DATE, ds::DATE, count(*), sum(_record_id::HUGEINT)::VARCHAR "
            "FROM read_parquet(?, hive_partitioning = true) GROUP BY ALL",
            [f"{incoming}/ds=*/arrived=*/*.parquet"],
        ).fetchall()
    found: dict[date, dict[date, LandedDay]] = {}
    for arrived, ds, count, content in rows:
        found.setdefault(arrived, {})[ds] = LandedDay(rows=count, content=content)
    return found
