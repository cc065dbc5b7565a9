"""The Complete Journey (dunnhumby): 100,000 lines of a grocer's baskets, two global cut-offs at 60 and 80 %."""

import json
from collections.abc import Hashable
from datetime import UTC, date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline_tasks.data.item_catalog import Row, make_catalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.run_key import RunKey
from tests.benchmarks.purchase_log import purchase_log


def read_complete_journey(shared_data: Path) -> RunData:
    """Return the sample as the data of a run of `completejourney`, positive quantities only."""
    folder = shared_data / "completejourney"
    rows = pd.read_parquet(folder / "transactions_sample_100k.parquet")
    rows = rows[rows["quantity"] > 0].drop_duplicates()
    rows = rows.assign(
        household=rows["household_id"].astype(str),
        product=rows["product_id"].astype(str),
        time=rows["transaction_timestamp"].dt.tz_localize(None),
    )
    log, ids, rows = purchase_log(rows, "household", "product", "time")
    products, times = _products(folder, set(ids)), rows["time"].to_numpy().astype("datetime64[us]")
    log = log.described(_households(folder))
    ordered = pd.Series(np.sort(times))
    cuts = [ordered.iloc[int(len(ordered) * share)].to_pydatetime().replace(tzinfo=UTC) for share in (0.6, 0.8)]
    prices = _prices(rows[times < np.datetime64(cuts[1].replace(tzinfo=None))])
    catalog = make_catalog([{**row, "price": prices.get(row["item_id"])} for row in products], ids)
    split = {"split_id": "sample", "strategy": "temporal", "train_end": cuts[0], "validation_end": cuts[1]}
    return RunData(RunKey("completejourney", date(2017, 12, 31)), catalog, log, {}, split)


def _prices(rows: pd.DataFrame) -> dict[str, float]:
    """Return each product's last shelf price, as the preset computes it, of the lines before test begins."""
    paid = rows[["sales_value", "retail_disc", "coupon_disc", "coupon_match_disc"]].sum(axis=1)
    rows = rows.assign(price=paid / rows["quantity"])
    last = rows.sort_values("transaction_timestamp", kind="stable").groupby("product")["price"].last()
    return {str(product): float(price) for product, price in last.items()}


def _households(folder: Path) -> dict[str, str]:
    """Return the attributes of the 801 households that are described, as the preset maps them."""
    rows = pd.read_parquet(folder / "demographics.parquet").astype(object)
    names = {"age": "age", "household_size": "household_size", "income": "income", "kids": "kids_count"}
    return {
        str(row["household_id"]): json.dumps(
            {name: str(row[column]) for name, column in names.items() if pd.notna(row[column])}
        )
        for row in rows.to_dict("records")
    }


def _products(folder: Path, wanted: set[str]) -> list[Row]:
    """Return rows of the table `items` as the preset makes them."""
    products = pd.read_parquet(folder / "products.parquet").astype({"product_id": str})
    rows = products[products["product_id"].isin(wanted)].astype(object).fillna("")
    return [_described(row) for row in rows.to_dict("records")]


def _described(row: dict[Hashable, Any]) -> Row:
    levels = [row[name] for name in ("department", "product_category") if row[name]]
    attributes = {"manufacturer": row["manufacturer_id"], "package_size": row["package_size"]}
    return {
        "item_id": row["product_id"],
        "title": row["product_type"] or row["product_category"] or row["department"],
        "category": " > ".join(levels),
        "brand": row["brand"],
        "attributes": json.dumps({name: str(value) for name, value in attributes.items() if value}),
    }
