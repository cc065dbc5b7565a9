"""Which shares of rejected rows close a gate, and the message of the gate."""

import re
import subprocess
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from pyspark.sql import SparkSession
from typer.testing import CliRunner

from pipeline_tasks.cli import app
from pipeline_tasks.config.settings import settings
from pipeline_tasks.quality.gate_report import Finding
from pipeline_tasks.quality.gate_runner import GateRun
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import spark_ddl
from tests.spark_jobs.gate_case import DS, Row
from tests.spark_jobs.gate_fixtures import interpreted  # noqa: F401 - the fixture

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("interpreted")]

Refused = dict[str, int]


class Day(NamedTuple):
    """Rows of one day of a delivery."""

    events: int
    refused: Refused = {}
    items: int = 0
    refused_items: Refused = {}
    waiting: int = 0


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> GateRun:
    return GateRun(tmp_path_factory.mktemp("docs"), "shop 2026-11-20 test")


def counts(day: date, rows_of_day: Day) -> list[Row]:
    rows = [
        ("rows_in", "all", rows_of_day.events + rows_of_day.waiting + sum(rows_of_day.refused.values())),
        ("event", "all", rows_of_day.events),
    ]
    rows += [("waiting", "all", rows_of_day.waiting)]
    rows += [("quarantine", rule, number) for rule, number in rows_of_day.refused.items()]
    if rows_of_day.items:
        rows += [
            ("items_in", "all", rows_of_day.items + sum(rows_of_day.refused_items.values())),
            ("items_accepted", "all", rows_of_day.items),
        ]
        rows += [("items_quarantine", rule, number) for rule, number in rows_of_day.refused_items.items()]
    return [{"outcome": o, "rule": r, "rows": n, "fingerprint": "f", "ds": day} for o, r, n in rows]


def refused_rows(day: date, rows_of_day: Day) -> list[Row]:
    details = {"bots": "user_key=undefined session_id=s1", "unknown_event_type": "event_type=hover"}
    return [
        {"raw": '{"time":"0000-00-00"}', "rule": rule, "detail": details.get(rule), "source_file": "f", "ds": day}
        for rules in (rows_of_day.refused, rows_of_day.refused_items)
        for rule, number in rules.items()
        for _ in range(number)
    ]


def judge(spark: SparkSession, gate: GateRun, folder: Path, *days: Day) -> list[Finding]:
    """Return what the gate finds of a delivery whose last day is DS."""
    dated = [(DS - timedelta(days=len(days) - 1 - place), day) for place, day in enumerate(days)]
    reconciled, refused = ([row for day in dated for row in made(*day)] for made in (counts, refused_rows))
    for name, rows in (("reconciliation", reconciled), ("quarantine", refused)):
        frame = spark.createDataFrame(rows, spark_ddl(TABLES[name])).coalesce(1)
        frame.selectExpr("*", "ds AS _ds").write.partitionBy("_ds").parquet(str(folder / name))
        read = spark.read.schema(spark_ddl(TABLES[name])).parquet(str(folder / name)).drop("_ds")
        read.createOrReplaceTempView(name)
    staged = [("events", day, one.events) for day, one in dated]
    staged += [("quarantine", day, len(refused_rows(day, one))) for day, one in dated]
    spark.createDataFrame(staged, "name string, ds date, rows long").createOrReplaceTempView("staged_rows")
    return gate.validate("reconciliation", spark.table("reconciliation"))[1]


def severities(findings: list[Finding]) -> set[tuple[str, str]]:
    return {(finding.severity, finding.description) for finding in findings}


DELIVERY = "at most {} of the delivery's events are refused"
BY_DAY = "at most {} of the events of a day with 1,000 or more are refused"
UNDATED = ("warning", "at most 1% of the delivery's events have no readable or possible time")

CASES: dict[str, tuple[list[Day], set[tuple[str, str]]]] = {
    "a zero for a time in one record of forty": (
        [Day(2_880), Day(2_880), Day(90, {"unparsable_time": 50, "impossible_time": 100})],
        {UNDATED},
    ),
    "a day of one row, which is refused": ([Day(500), Day(0, {"missing_item": 1}), Day(40)], set()),
    "a run of one row, which is refused": ([Day(0, {"missing_item": 1})], {("warning", DELIVERY.format("5%"))}),
    "most of a small delivery": (
        [Day(9, {"unknown_event_type": 10})],
        {("warning", DELIVERY.format("5%")), ("critical", DELIVERY.format("50%"))},
    ),
    "a wrong mapping with many waiting rows": (
        [Day(0, {"unknown_event_type": 400}), Day(0, waiting=90_000)],
        {("warning", DELIVERY.format("5%")), ("critical", DELIVERY.format("50%"))},
    ),
    "a robot on a large day": (
        [Day(6_200), Day(200, {"bots": 2_324})],
        {
            ("warning", DELIVERY.format("5%")),
            ("warning", BY_DAY.format("5%")),
            ("critical", BY_DAY.format("50%")),
        },
    ),
    "a large catalog with a few repeats and few events": (
        [Day(180, items=5_000, refused_items={"duplicate_item_id": 100})],
        set(),
    ),
    "a catalog with several records of most items": (
        [Day(180, items=100, refused_items={"duplicate_item_id": 300})],
        {("warning", "at most 5% of the delivered items are refused")},
    ),
    "a catalog without ids": (
        [Day(180, items=10, refused_items={"missing_item": 300})],
        {
            ("warning", "at most 5% of the delivered items are refused"),
            ("critical", "at most 50% of the delivered items are refused"),
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_share_closes_the_gate_where_there_are_enough_rows(
    spark: SparkSession, gate: GateRun, tmp_path: Path, name: str
) -> None:
    days, expected = CASES[name]
    assert severities(judge(spark, gate, tmp_path, *days)) == expected


def test_the_message_names_rules_examples_and_remedies(spark: SparkSession, gate: GateRun, tmp_path: Path) -> None:
    found = judge(
        spark, gate, tmp_path, Day(2_500, {"missing_item": 9}), Day(900, {"bots": 2_000, "unparsable_time": 9})
    )
    [closed] = [finding for finding in found if finding.severity == "critical"]
    assert closed.observed == (
        "1 rows, e.g. ds=2026-11-20, refused=2000, rows_in=2900; refused most by bots 2,000 rows, e.g. "
        "user_key=undefined session_id=s1"
    )
    assert closed.remedy.startswith("bots: map a value that means no user to NULL in events.columns.user_key")
    [all_days] = [finding for finding in found if finding.description == DELIVERY.format("5%")]
    assert 'missing_item 9 rows, e.g. {"time":"0000-00-00"}; unparsable_time 9 rows' in all_days.observed
    assert "unparsable_time: correct events.columns.ts" in all_days.remedy


def test_the_printed_query_runs_before_anything_is_published(
    spark: SparkSession, gate: GateRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIGHTSHELF_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    folder = tmp_path / "shop's $HOME"
    found = judge(spark, gate, folder, Day(1, {"unknown_event_type": 12, "missing_item": 3}))
    offered = re.search(r'To see them: (nightshelf sql ".*")$', found[0].remedy)
    assert offered, found[0].remedy
    # Parsed by a shell.
    shell = subprocess.run(
        ["bash", "-c", f"nightshelf() {{ printf '%s' \"$2\"; }}; {offered.group(1)}"],
        capture_output=True,
        text=True,
        check=True,
    )
    shown = CliRunner().invoke(app, ["sql", "--format", "csv", shell.stdout])
    settings.cache_clear()
    assert shown.exit_code == 0, shown.output
    assert "unknown_event_type,event_type=hover,12," in shown.output
