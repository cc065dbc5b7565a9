"""The Complete Journey (dunnhumby): 100,000 lines of a grocer's baskets, two global cut-offs at 60 and 80 %."""

from datetime import UTC, date
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline_tasks.interactions import MODELLED_TYPES, Interactions
from pipeline_tasks.item_catalog import ItemCatalog
from pipeline_tasks.night import Night
from pipeline_tasks.night_data import NightData


def read_complete_journey(shared_data: Path) -> NightData:
    """Return the sample as a night of the source `completejourney`, positive quantities only."""
    folder = shared_data / "completejourney"
    rows = pd.read_parquet(folder / "transactions_sample_100k.parquet")
    rows = rows[rows["quantity"] > 0].drop_duplicates()
    keys, shopper = np.unique(rows["household_id"].astype(str).to_numpy(dtype=str), return_inverse=True)
    rows = rows.assign(shopper=shopper).sort_values(["shopper", "transaction_timestamp"], kind="stable")
    ids, items = np.unique(rows["product_id"].astype(str).to_numpy(dtype=str), return_inverse=True)
    times = rows["transaction_timestamp"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    log = Interactions(
        keys.tolist(),
        np.ones(len(keys), dtype=bool),
        np.concatenate([[0], np.cumsum(np.bincount(rows["shopper"]))]).astype(np.int64),
        items.astype(np.int64),
        np.full(len(rows), MODELLED_TYPES.index("purchase"), dtype=np.int64),
        times.astype(np.int64),
    )
    catalog = ItemCatalog(ids.tolist(), _texts(folder, ids.tolist()))
    ordered = pd.Series(np.sort(times))
    cuts = [ordered.iloc[int(len(ordered) * share)].to_pydatetime().replace(tzinfo=UTC) for share in (0.6, 0.8)]
    split = {"split_id": "sample", "strategy": "temporal", "train_end": cuts[0], "validation_end": cuts[1]}
    return NightData(Night("completejourney", date(2017, 12, 31)), catalog, log, {}, split)


def _texts(folder: Path, ids: list[str]) -> list[str]:
    products = pd.read_parquet(folder / "products.parquet")
    columns = ["product_type", "department", "product_category", "brand", "package_size"]
    words = products[columns].astype(str).replace("<NA>", "").replace("None", "")
    texts = dict(zip(products["product_id"].astype(str), words.agg(". ".join, axis=1), strict=True))
    return [str(texts.get(number, number)) for number in ids]
