"""Landed files, ``landing/<source>/<kind>/ds=…/arrived=…/<landing>/*.parquet``, and their ledger.

Readers read only files that the ledger lists. A landing first moves its parts into new folders. Then it writes the
ledger, which from then on lists them in place of the earlier ones. Last it removes files that are not listed. A kill
leaves the state before or after; the next landing removes leftovers.
"""

import hashlib
import shutil
import uuid
from collections.abc import Iterable
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
from pydantic import BaseModel

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.lake.files import sync_files, write_atomically

Kind = Literal["events", "items", "users"]


class LandedDay(BaseModel):
    """Rows of one event day in one delivery."""

    rows: int
    content: str
    """Sum of the records' hashes, which does not depend on their order."""
    folder: str = ""
    """Folder of the landing, below ``ds=…/arrived=…``; empty for landings of versions without such folders."""


class Delivery(BaseModel):
    """The shop's delivery of one day."""

    fingerprint: str
    """Hash of the files and of the way they are read."""
    days: dict[date, LandedDay] = {}
    columns: list[str] = []
    """Names and types of the landed columns; empty where a part was rewritten with other columns."""


class Ledger(BaseModel):
    """All deliveries of one kind of record, by the day they arrived."""

    deliveries: dict[date, Delivery] = {}
    undated: list[date] = []
    """Days assigned to records that have no day, where files do not name theirs."""

    def rows(self, ds: date) -> int:
        """Return the number of rows that were landed for the event day."""
        return sum(landed.rows for _, landed in self._by_day.get(ds, []))

    def days(self) -> list[date]:
        """Return the event days with rows, oldest first."""
        return sorted(self._by_day)

    def differing_columns(self, days: list[date]) -> bool:
        """Return whether the rows of the event days were landed with different columns."""
        wanted = set(days)
        seen = {tuple(one.columns) for one in self.deliveries.values() if wanted & one.days.keys()}
        return len(seen) > 1 or () in seen

    def content(self, ds: date) -> str:
        """Return a hash of all records that were landed for the event day."""
        parts = [f"{arrived} {landed.rows} {landed.content}" for arrived, landed in self._by_day.get(ds, [])]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @cached_property
    def _by_day(self) -> dict[date, list[tuple[date, LandedDay]]]:
        """Landed rows of each event day with their day of arrival, as an index: a log of 15 years has 5,000 of each."""
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
        """Return the ledger, which is empty before the first landing.

        A delivery with a missing folder gets an empty fingerprint, so that it is landed again.
        """
        path = self.folder / "deliveries.json"
        ledger = Ledger.model_validate_json(path.read_text()) if path.exists() else Ledger()
        for arrived, delivery in ledger.deliveries.items():
            if not all(self._part(ds, arrived, landed).is_dir() for ds, landed in delivery.days.items()):
                delivery.fingerprint = ""
        return ledger

    def incoming(self) -> Path:
        """Return an empty folder for the files of a delivery before `take_in`."""
        path = self.folder / "incoming"
        shutil.rmtree(path, ignore_errors=True)
        return path

    def take_in(self, incoming: Path, fingerprints: dict[date, str], undated: Iterable[date] = ()) -> None:
        """Move `incoming` (``ds=…/arrived=…``) into place as the complete content of the deliveries `fingerprints`."""
        ledger = self.ledger()
        ledger.undated = sorted({*ledger.undated, *undated})
        # The columns are read first, because the files are then moved.
        columns, landed = _columns(incoming), self._move_in(incoming)
        for arrived, mark in fingerprints.items():
            ledger.deliveries[arrived] = Delivery(fingerprint=mark, days=landed.get(arrived, {}), columns=columns)
        self._write(ledger)

    def replace_parts(self, incoming: Path, parts: Iterable[tuple[date, date]]) -> None:
        """Replace parts (event day, day of arrival) by those of `incoming`; a part that it lacks is removed.

        The deliveries keep their fingerprints, because the shop's files are the same and are not landed again.
        """
        columns, ledger, landed = _columns(incoming), self.ledger(), self._move_in(incoming)
        for ds, arrived in parts:
            if ledger.deliveries[arrived].columns != columns:
                # Days that were read together got types that fit the values of all.
                ledger.deliveries[arrived].columns = []
            days = ledger.deliveries[arrived].days
            if ds in landed.get(arrived, {}):
                days[ds] = landed[arrived][ds]
            else:
                days.pop(ds, None)
        self._write(ledger)

    def remove_leftovers(self) -> None:
        """Remove landed files that the ledger does not list: of replaced parts and of killed landings."""
        named: dict[Path, set[str]] = {}
        for arrived, delivery in self.ledger().deliveries.items():
            for ds, landed in delivery.days.items():
                named.setdefault(self._part(ds, arrived), set()).add(landed.folder)
        for entry in self.folder.glob("ds=*/*/*"):
            # Files of older versions are in the part itself, without a folder of their landing.
            if (entry.name if entry.is_dir() else "") not in named.get(entry.parent, ()):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        for folder in (*self.folder.glob("ds=*/*"), *self.folder.glob("ds=*")):
            if not any(folder.iterdir()):
                folder.rmdir()
        shutil.rmtree(self.folder / "incoming", ignore_errors=True)
        for unfinished in self.folder.glob("deliveries.json.*.new"):
            unfinished.unlink()

    def files(self, days: list[date], ledger: Ledger | None = None) -> list[str]:
        """Return the files of the event days that the ledger lists, by default the current ledger.

        Raises:
            FileNotFoundError: files of a listed part are missing.
        """
        wanted = set(days)
        parts = [
            (ds, self._part(ds, arrived, landed))
            for arrived, delivery in sorted((ledger or self.ledger()).deliveries.items())
            for ds, landed in delivery.days.items()
            if ds in wanted
        ]
        found = {part: sorted(part.glob("*.parquet")) for _, part in parts}
        if missing := [part for part, files in found.items() if not files]:
            raise FileNotFoundError(
                f"{missing[0]} has no files, but the ledger {self.folder / 'deliveries.json'} lists it: another "
                "landing replaced it, or it was deleted. Run land_behavior again: it lands missing files anew"
            )
        return [str(file) for _, part in sorted(parts) for file in found[part]]

    def _move_in(self, incoming: Path) -> dict[date, dict[date, LandedDay]]:
        """Move the parts into folders of this landing, which no ledger lists yet; return their rows by arrival."""
        landed, name, moved = _measure(incoming), uuid.uuid4().hex[:12], list[Path]()
        for arrived, days in landed.items():
            for ds, day in days.items():
                day.folder = name
                part = self._part(ds, arrived, day)
                part.parent.mkdir(parents=True, exist_ok=True)
                (incoming / f"ds={ds}" / f"arrived={arrived}").rename(part)
                moved += part.glob("*.parquet")
        sync_files(map(str, moved), str(self.folder))
        return landed

    def _write(self, ledger: Ledger) -> None:
        write_atomically(self.folder / "deliveries.json", ledger.model_dump_json(indent=1))
        self.remove_leftovers()

    def _part(self, ds: date, arrived: date, landed: LandedDay | None = None) -> Path:
        part = self.folder / f"ds={ds}" / f"arrived={arrived}"
        return part / landed.folder if landed is not None else part


def arrivals(incoming: Path) -> list[date]:
    """Return the days of delivery below `incoming`."""
    return sorted({date.fromisoformat(part.name.removeprefix("arrived=")) for part in incoming.glob("ds=*/arrived=*")})


def _columns(incoming: Path) -> list[str]:
    file = next(incoming.glob("ds=*/arrived=*/*.parquet"), None)
    return [f"{field.name} {field.type}" for field in pq.read_schema(file)] if file else []


def _measure(incoming: Path) -> dict[date, dict[date, LandedDay]]:
    """Return the rows in `incoming` by arrival and event day. DuckDB reads one narrow column, without a Spark job."""
    if not any(incoming.glob("ds=*/arrived=*/*.parquet")):
        return {}
    # Imported here, because later steps only read the ledger, and a process without DuckDB ends sooner (job_errors).
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
