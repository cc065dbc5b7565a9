"""Runs a case like a nightly run: land, clean, gate, publish and, where a case needs it, split with its gate."""

from collections import Counter
from datetime import date
from typing import Any

from pipeline_tasks.config.settings import settings
from pipeline_tasks.lake.staging import Manifest, write_manifest
from pipeline_tasks.quality.gate_report import GateReport, publish_step
from pipeline_tasks.run_key import RunKey
from spark_jobs.clean_behavior import clean
from spark_jobs.cleaning.changed_days import active_rule_names
from spark_jobs.split_behavior import split
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.one_shop import DAY, ShopFixture

CATALOGS = ("items_", "users_")
"""Begin the outcomes of records of catalogs."""
KINDS = ("events", *CATALOGS)
ENTERED = ("rows_in", "items_in", "users_in")


def land_and_clean(shop: ShopFixture, ds: date = DAY, rules: str | None = None) -> GateReport:
    """Land and clean all days up to `ds`, publish them where the gate lets them through, and return its report.

    Raises:
        GateError: the gate of cleaning is closed.
    """
    shop.land(ds, 0)
    assert shop.source is not None
    run_key = RunKey(shop.source.name, ds)
    manifest = clean(shop.spark, shop.source, run_key, 0, active_rule_names(shop.source, rules))
    return _gate_and_publish(shop, manifest)


def split_published(shop: ShopFixture, ds: date = DAY) -> tuple[Manifest, GateReport]:
    """Split what is published, publish the split where its gate lets it through; return its manifest and the report.

    Raises:
        GateError: the gate of splitting is closed.
    """
    assert shop.source is not None
    manifest = split(shop.spark, RunKey(shop.source.name, ds), 0, None)
    return manifest, _gate_and_publish(shop, manifest)


def _gate_and_publish(shop: ShopFixture, manifest: Manifest) -> GateReport:
    write_manifest(settings(), manifest)
    run_key = RunKey(manifest.source, manifest.ds)
    report = validate_step(shop.spark, settings(), run_key, manifest.step)
    publish_step(settings(), run_key, manifest.step)
    return report


def balanced(shop: ShopFixture) -> dict[str, int]:
    """Return the rows of events by outcome (by rule, where they were refused or are duplicates), after checking that
    the rows of every day are accounted for, and likewise the records of catalogs."""
    rows = shop.rows("reconciliation")
    for kind in KINDS:
        assert _sums(rows, kind, came_in=True) == _sums(rows, kind, came_in=False), kind
    of_events = [row for row in rows if not row["outcome"].startswith(CATALOGS)]
    outcomes: Counter[str] = Counter()
    for row in of_events:
        outcomes[row["rule"] if row["outcome"] in ("quarantine", "duplicate") else row["outcome"]] += row["rows"]
    assert len(shop.rows("events", "ds")) == outcomes["event"]
    return {name: count for name, count in outcomes.items() if count}


def _sums(rows: list[dict[str, Any]], kind: str, came_in: bool) -> Counter[date]:
    """Return the rows of a kind by day: those that came in, or those that are accounted for."""
    sums: Counter[date] = Counter()
    for row in rows:
        name = row["outcome"]
        of_kind = name.startswith(kind) if kind in CATALOGS else not name.startswith(CATALOGS)
        if of_kind and (name in ENTERED) == came_in:
            sums[row["ds"]] += row["rows"]
    return sums


def events_by_day(shop: ShopFixture) -> dict[str, int]:
    """Return how many published events each day has, by its day of the month."""
    return dict(sorted(Counter(f"{row['ds']:%m-%d}" for row in shop.rows("events", "ds")).items()))


def refused(shop: ShopFixture) -> dict[str, int]:
    """Return how many rows of the quarantine each rule refused."""
    return dict(Counter(row["rule"] for row in shop.rows("quarantine", "rule")))
