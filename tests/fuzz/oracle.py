"""Runs a delivery through landing, cleaning and its gate, and checks that every record is accounted for."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from pyspark.sql import SparkSession

from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.staging import write_manifest
from pipeline_tasks.quality.gate_report import GateReport
from pipeline_tasks.run_key import RunKey
from pipeline_tasks.sources.erased import record_erased_users
from spark_jobs.validate_tables import validate_step
from tests.fuzz.deliveries import Delivery
from tests.fuzz.lines import Unit
from tests.fuzz.odd_values import DAY, ERASED, Expected, Record
from tests.spark_jobs.one_shop import ShopFixture

MARK: Final = re.compile(r"m\d{3}x\d{6}")
ROWS_IN: Final = "rows_in"
ERASED_WORD: Final = re.compile(rf"(?<!\w){re.escape(ERASED)}(?!\w)")


@dataclass
class Problem:
    """Something that is not as it must be, and the units that it is about."""

    text: str
    units: list[Unit] = field(default_factory=list)


@contextmanager
def fresh_shop(spark: SparkSession, folder: Path) -> Iterator[ShopFixture]:
    """Give a shop with an empty home and an empty folder for its files, both below `folder`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIGHTSHELF_HOME", str(folder / "home"))
        settings.cache_clear()
        (folder / "files").mkdir(parents=True)
        yield ShopFixture(spark, folder / "files")
    settings.cache_clear()


def check_delivery(spark: SparkSession, delivery: Delivery, folder: Path) -> list[Problem]:
    """Run the delivery in `folder`, and return what is wrong."""
    with fresh_shop(spark, folder) as shop:
        delivery.write(shop.files)
        shop.describe(delivery.shape.toml)
        try:
            report = _run(shop)
        except Exception as error:  # noqa: BLE001 - whatever it is, the delivery must be kept and named
            return [Problem(f"{type(error).__name__}: {str(error)[:2_000]}", list(delivery.units()))]
        return [*_of_gate(report), *PublishedRows(shop.rows).problems(delivery)]


def _run(shop: ShopFixture) -> GateReport:
    record_erased_users(settings(), "fuzz", [ERASED])
    manifest = shop.run(DAY, 0)
    write_manifest(settings(), manifest)
    return validate_step(shop.spark, settings(), RunKey(manifest.source, DAY), "clean")


def _of_gate(report: GateReport) -> list[Problem]:
    """A gate may close for the share of broken rows; for nothing else."""
    return [Problem(f"gate: {finding}") for finding in report.critical if "are refused" not in finding.description]


class PublishedRows:
    """Where the records of a shop are now."""

    def __init__(self, rows: Callable[[str], list[dict[str, Any]]]) -> None:
        self.events: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in rows("events"):
            self.events[str(row["arm"])].append(row)
        self.refused: list[tuple[frozenset[str], str]] = []
        self.erased: list[str] = []
        """Rows that name the erased user."""
        self.rules: Counter[str] = Counter()
        self.by_mark: Counter[str] = Counter()
        for row in rows("quarantine"):
            marks = frozenset(MARK.findall(row["raw"]))
            self.refused.append((marks, row["rule"]))
            self.by_mark.update(marks)
            if ERASED_WORD.search(row["raw"]):
                self.erased.append(row["raw"])
        self.erased += [ERASED for row in rows("events") if row.get("user_key") == ERASED]
        self.counts = rows("reconciliation")

    def problems(self, delivery: Delivery) -> Iterator[Problem]:
        """Yield what is wrong with the balance, and with each record."""
        yield from self._balance()
        least = most = 0
        for unit in delivery.units():
            if self._is_whole(unit):
                least, most = least + 1, most + 1
                continue
            rows = sum(record.copies for record in unit.records)
            least, most = least + rows + unit.nameless[0], most + rows + unit.nameless[1]
            for record in unit.records:
                if (text := self._wrong(record)) is not None:
                    yield Problem(text, [unit])
        read = self._total(ROWS_IN)
        if not least <= read <= most:
            yield Problem(f"{least} to {most} rows were delivered, rows_in is {read}", list(delivery.units()))
        yield from self._strangers(delivery)
        if self.erased:
            units = [unit for unit in delivery.units() if any(record.erased for record in unit.records)]
            yield Problem(f"{len(self.erased)} rows name an erased user, such as {self.erased[0][:300]!r}", units)

    def _balance(self) -> Iterator[Problem]:
        read: Counter[object] = Counter()
        accounted: Counter[object] = Counter()
        for row in self.counts:
            (read if row["outcome"] == ROWS_IN else accounted)[row["ds"]] += row["rows"]
        for ds in read | accounted:
            if read[ds] != accounted[ds]:
                yield Problem(f"{ds}: {read[ds]} rows in, {accounted[ds]} accounted for")
        for table, outcome, held in (
            ("events", "event", sum(map(len, self.events.values()))),
            ("quarantine", "quarantine", len(self.refused)),
        ):
            if self._total(outcome) != held:
                yield Problem(f"{table} has {held} rows, the reconciliation has {self._total(outcome)}")

    def _total(self, outcome: str) -> int:
        return int(sum(row["rows"] for row in self.counts if row["outcome"] == outcome))

    def _is_whole(self, unit: Unit) -> bool:
        if not unit.may_be_whole:
            return False
        marks = frozenset(record.mark for record in unit.records)
        if len({record.erased for record in unit.records}) == 2 and not any(self._rows_of(mark) for mark in marks):
            # Refused whole, and erased whole: it names the erased user.
            return True
        return any(found == marks for found, _ in self.refused)

    def _rows_of(self, mark: str) -> int:
        return len(self.events[mark]) + self.by_mark[mark]

    def _wrong(self, record: Record) -> str | None:
        """Of an erased user's record no row is left; a fault of form may hide whose it is."""
        events, refused = self.events[record.mark], self.by_mark[record.mark]
        described = (
            f"{record.mark} ({record.expected.name}, {record.copies} times) is {len(events)} events, {refused} refused"
        )
        if events and refused:
            return f"{described}: both"
        if record.erased:
            return f"{described}, erased" if record.expected == Expected.EVENT and (events or refused) else None
        is_event, is_refused = len(events) == 1, refused == record.copies
        right = {Expected.EVENT: is_event, Expected.REFUSED: is_refused, Expected.EITHER: is_event or is_refused}
        if not right.get(record.expected, True):
            return described
        if record.expected == Expected.EVENT and events[0]["ds"] != record.ds:
            return f"{described}, of {events[0]['ds']} and not of {record.ds}"
        return None

    def _strangers(self, delivery: Delivery) -> Iterator[Problem]:
        """Events that no record was delivered for."""
        known = {record.mark for unit in delivery.units() for record in unit.records}
        strange = [mark for mark, rows in self.events.items() if rows and mark not in known]
        if strange:
            yield Problem(f"{len(strange)} events of no record, such as arm = {strange[0]!r}", list(delivery.units()))
