from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark


def test_quarantine_is_one_sorted_file_a_day(shop: ShopFixture) -> None:
    """The files do not depend on Spark's tasks: they are the same when the days are cleaned again."""
    before = DAY - timedelta(days=1)
    for day in (before, DAY):
        shop.deliver(*(f"{day}T09:00:00Z,view,P{number},ann,s1,-{number},,," for number in (9, 3, 7, 1)), day=day)
        shop.land(day)
    staged = shop.clean(DAY, window_days=2).tables["quarantine"]
    read = [pq.read_table(file, partitioning=None) for file in staged.files]
    assert sorted(rows["ds"].unique().to_pylist() for rows in read) == [[before], [DAY]]
    for rows in read:
        raws = rows["raw"].to_pylist()
        assert len(raws) == 4
        assert raws == sorted(raws)
