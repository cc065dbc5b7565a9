"""Outcomes of the records of catalogs and lists of users: accepted, rejected, erased, or a duplicate of another."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.config.settings import settings
from pipeline_tasks.sources.erased import read_erased_users
from pipeline_tasks.sources.landing import Kind
from pipeline_tasks.tables.silver_tables import CATALOG_OUTCOMES
from spark_jobs.cleaning.cleaning_rules import RULE, quarantine_rows, raw_text
from spark_jobs.cleaning.erased_users import ERASED, mark_erased, mark_named
from spark_jobs.cleaning.map_catalog import EXACT_DUPLICATE, map_items, map_users, mark_repeated
from spark_jobs.cleaning.map_events import ROW
from spark_jobs.common.connect_frames import persisted
from spark_jobs.landing.landing_reader import LandingReader


class CatalogRejections(NamedTuple):
    """Rows of the table `quarantine`, and the number of rows by day, outcome and rule."""

    quarantine: list[DataFrame]
    outcomes: Counter[tuple[date, str, str]]

    def refused(self) -> Counter[date]:
        """Return the number of rejected records by day."""
        rows: Counter[date] = Counter()
        for (day, outcome, _), count in self.outcomes.items():
            if outcome in {names.quarantine for names in CATALOG_OUTCOMES.values()}:
                rows[day] += count
        return rows


def reject_catalog(landed: LandingReader, days: Sequence[date], longest: int) -> CatalogRejections:
    """Return the outcomes of the catalogs and lists of users that were landed for the days.

    Raises:
        ValueError: the outcomes of a day do not add up to its landed rows.
    """
    source, rejections = landed.source, CatalogRejections([], Counter())
    items = landed.days("items", days) if source.items and source.items.path else None
    if items is not None and source.items:
        mapped = map_items(items, source, landed.normalize)
        _add(rejections, landed, "items", items, mark_repeated(mapped, "item_id"), longest)
    users = landed.days("users", days) if source.users and source.users.path else None
    if users is not None and source.users:
        erased = read_erased_users(settings(), source.name)
        described = mark_erased(map_users(users, source, landed.normalize), erased)
        refused = ~F.col(RULE).isin(EXACT_DUPLICATE, ERASED)
        marked = mark_named(users, mark_repeated(described, "user_key"), erased, refused)
        _add(rejections, landed, "users", users, marked, longest)
    return rejections


def _add(
    rejections: CatalogRejections, landed: LandingReader, kind: Kind, raw: DataFrame, marked: DataFrame, longest: int
) -> None:
    names, key = CATALOG_OUTCOMES[kind], "item_id" if kind == "items" else "user_key"
    narrow = persisted(marked.select(ROW, RULE, "ds", F.concat(F.lit(f"{key}="), F.col(key)).alias("detail")))
    outcome = (
        F.when(F.col(RULE).isNull(), names.accepted)
        .when(F.col(RULE) == EXACT_DUPLICATE, names.duplicate)
        .when(F.col(RULE) == ERASED, names.forgotten)
        .otherwise(names.quarantine)
    )
    rule = F.coalesce(RULE, F.lit("all"))
    counted = narrow.groupBy("ds", outcome.alias("outcome"), rule.alias("rule")).count().collect()
    found = Counter({(row["ds"], row["outcome"], row["rule"]): row["count"] for row in counted})
    for day in {day for day, _, _ in found}:
        rows_in, accounted = landed.ledgers[kind].rows(day), sum(n for (ds, _, _), n in found.items() if ds == day)
        if accounted != rows_in:
            raise ValueError(
                f"{landed.source.name} {day}: {rows_in} rows of {kind} landed, but {accounted} were read: the landing "
                f"changed while it was read; clean again"
            )
        found[day, names.rows_in, "all"] = rows_in
    rejections.outcomes.update(found)
    if any(outcome == names.quarantine for _, outcome, _ in found):
        faults = narrow.where(outcome == names.quarantine).select(ROW, RULE, "detail")
        # Joined first, so that only rejected records are written as text.
        records = raw.join(F.broadcast(faults), on=ROW, how="inner").select("*", raw_text(raw, longest))
        rejections.quarantine.append(quarantine_rows(records))
