"""Runs a case as a night runs it: land, clean, gate, publish and, where a case goes further, split with its gate."""

from collections import Counter
from datetime import date

from pipeline_tasks.gates.gate_report import GateReport
from pipeline_tasks.gates.gated_publish import publish_step
from pipeline_tasks.night import Night
from pipeline_tasks.settings import settings
from pipeline_tasks.storage.staging import Manifest, write_manifest
from spark_jobs.clean_behavior import clean
from spark_jobs.split_behavior import split
from spark_jobs.stale_days import chosen_rules
from spark_jobs.validate_tables import validate_step
from tests.spark_jobs.one_shop import DAY, OneShop

ROWS_IN = "rows_in"


def land_and_clean(shop: OneShop, ds: date = DAY, rules: str | None = None) -> GateReport:
    """Land and clean all days up to `ds`, publish them where the gate lets them through, and return its report.

    Raises:
        GateError: the gate of cleaning is closed.
    """
    shop.land(ds, 0)
    assert shop.source is not None
    night = Night(shop.source.name, ds)
    manifest = clean(shop.spark, shop.source, night, 0, chosen_rules(shop.source, rules))
    return _gate_and_publish(shop, manifest)


def split_published(shop: OneShop, ds: date = DAY) -> tuple[Manifest, GateReport]:
    """Split what is published, publish the split where its gate lets it through; return its manifest and the report.

    Raises:
        GateError: the gate of splitting is closed.
    """
    assert shop.source is not None
    manifest = split(shop.spark, Night(shop.source.name, ds), 0, None)
    return manifest, _gate_and_publish(shop, manifest)


def _gate_and_publish(shop: OneShop, manifest: Manifest) -> GateReport:
    write_manifest(settings(), manifest)
    night = Night(manifest.source, manifest.ds)
    report = validate_step(shop.spark, settings(), night, manifest.step)
    publish_step(settings(), night, manifest.step)
    return report


def balanced(shop: OneShop) -> dict[str, int]:
    """Return the rows by outcome (by rule, where they were refused or are duplicates) after checking that the rows of
    every day are accounted for."""
    read: Counter[date] = Counter()
    accounted: Counter[date] = Counter()
    for row in shop.rows("reconciliation"):
        (read if row["outcome"] == ROWS_IN else accounted)[row["ds"]] += row["rows"]
    assert read == accounted
    events = Counter(row["ds"] for row in shop.rows("events", "ds"))
    assert events.total() == shop.outcomes().get("event", 0)
    return {name: rows for name, rows in shop.outcomes().items() if rows}


def events_by_day(shop: OneShop) -> dict[str, int]:
    """Return how many published events each day has, by its day of the month."""
    return dict(sorted(Counter(f"{row['ds']:%m-%d}" for row in shop.rows("events", "ds")).items()))


def refused(shop: OneShop) -> dict[str, int]:
    """Return how many rows of the quarantine each rule refused."""
    return dict(Counter(row["rule"] for row in shop.rows("quarantine", "rule")))
