"""Fills demand_outlook from the purchases of the window. Counts per item and day are small enough for the driver."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from pipeline_tasks.models.demand_forecast import HORIZONS, Sales, backtest, calibrate, forecast
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from spark_jobs.landing.event_days import day_number

_FEWEST_DAYS: Final = 28
"""Fewest days of the window for a calibration: 14 days, and as many before them."""


@dataclass(frozen=True)
class Outlook:
    """The table, and facts on how its intervals covered the last 14 days."""

    rows: pa.Table
    facts: dict[str, str]


def daily_purchases(sequences: DataFrame, zone: str | None = None) -> DataFrame:
    """Return (item_id, day: days since 1970, purchases) of known and anonymous users; cancelled ones are netted."""
    event = F.explode(F.arrays_zip("item_ids", "event_types", "timestamps")).alias("event")
    return (
        sequences.where(F.array_contains("event_types", "purchase"))
        .select(event)
        .where(F.col("event.event_types") == "purchase")
        .groupBy(
            F.col("event.item_ids").alias("item_id"),
            day_number("event.timestamps", zone).alias("day"),
        )
        .agg(F.count(F.lit(1)).alias("purchases"))
    )


def read_sales(purchases: pa.Table, catalog: pa.Table, window: list[date]) -> tuple[list[str], Sales]:
    """Return the items of the catalog, sorted by id, and their purchases on the days of `window`."""
    catalog = catalog.sort_by("item_id")
    ids = catalog["item_id"].combine_chunks()
    first = (window[0] - date(1970, 1, 1)).days
    rows = pc.index_in(purchases["item_id"], value_set=ids)
    places = purchases["day"].to_numpy().astype(np.int64) - first
    kept = rows.is_valid().to_numpy() & (places >= 0) & (places < len(window))
    counts = np.zeros((len(ids), len(window)), np.int64)
    items = pc.fill_null(rows, 0).to_numpy()[kept]
    np.add.at(counts, (items, places[kept]), purchases["purchases"].to_numpy()[kept])
    first_days = pc.fill_null(catalog["first_seen"].cast(pa.int32()), 0).to_numpy() - first
    on_sale = (np.arange(len(window)) >= first_days[:, None]) | (counts > 0)
    weekdays = np.array([day.weekday() for day in window], np.int64)
    return ids.to_pylist(), Sales(counts, on_sale, weekdays)


def build_outlook(item_ids: list[str], sales: Sales, growth: float | None, ds: date) -> Outlook:
    """Return demand_outlook of all items; `growth` is the change that purchase intent predicts for the coming week."""
    parts: list[pa.Table] = []
    facts: dict[str, str] = {}
    for days in HORIZONS:
        widening = 1.0
        if sales.counts.shape[1] >= _FEWEST_DAYS:
            widening, covered = calibrate(sales, days)
            facts |= {f"demand_coverage_{days}": f"{covered:.3f}"}
            facts |= {
                f"demand_{n}_{days}": f"{v:.3f}" for n, v in backtest(sales, days, widening).items() if "mae" in n
            }
        forecasts = forecast(sales, days, growth, widening)
        columns = {
            "item_id": item_ids,
            "horizon_days": np.full(len(item_ids), days, np.int32),
            "expected": np.round(forecasts.expected, 4),
            # The mean of an item that rarely sells lies above the upper end of its 80 % interval, which is 0.
            "low": np.minimum(forecasts.low, np.round(forecasts.expected, 4)),
            "high": np.maximum(forecasts.high, np.round(forecasts.expected, 4)),
            "ds": pa.repeat(pa.scalar(ds), len(item_ids)),
        }
        parts.append(pa.table(columns, schema=arrow_schema(TABLES["demand_outlook"])))
    if not facts:
        facts = {"demand": f"{sales.counts.shape[1]} days of sales, {_FEWEST_DAYS} are needed to check the intervals"}
    return Outlook(pa.concat_tables(parts), facts)


def window_until(ds: date, first: date) -> list[date]:
    """Return the days from `first` to `ds`."""
    return [first + timedelta(days=number) for number in range((ds - first).days + 1)]
