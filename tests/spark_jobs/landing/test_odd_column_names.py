"""Columns with signs in their names that have a meaning in Spark SQL, or with empty names."""

import json

import pandas as pd
import pytest

from tests.spark_jobs.one_shop import CLICKS, DAY, ShopFixture

pytestmark = pytest.mark.spark

ODD = ("`", "a`b", "a.b", "x y", "ünï", "", "*", "'", '"', "a(b)", "-1", "${x}")
EVENT = {"time": "2026-11-20T10:00:00Z", "kind": "view", "who": "ann", "visit": "s1"}
RECORDS = [
    EVENT | dict.fromkeys(ODD, str(n)) | {"item": f"P{n}"} | {"price": "9.99", "units": "1", "words": "mug"}
    for n in range(3)
]


def write(shop: ShopFixture, form: str) -> None:
    file = shop.files / f"events-{DAY}.{form}"
    if form == "json":
        file.write_text("\n".join(map(json.dumps, RECORDS)))
    elif form == "parquet":
        pd.DataFrame(RECORDS).to_parquet(file, index=False)
    else:
        pd.DataFrame(RECORDS).to_csv(file, index=False, doublequote=True)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_columns_may_have_any_name(shop: ShopFixture, form: str) -> None:
    shop.describe(CLICKS.replace("csv", form))
    write(shop, form)
    shop.run()
    counts = {row["outcome"]: row["rows"] for row in shop.rows("reconciliation")}
    assert (counts["rows_in"], counts["event"]) == (3, 3)
