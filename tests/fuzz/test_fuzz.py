"""Twenty thousand broken records over all formats, one delivery a test; `make fuzz` runs a hundred thousand."""

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.fuzz.deliveries import SHAPES
from tests.fuzz.lines import Unit
from tests.fuzz.run_fuzz import fuzz, smallest_part

SEED = 20_261_128
PER_DELIVERY = 1_700


@pytest.mark.spark
@pytest.mark.parametrize("number", range(len(SHAPES)), ids=[shape.name for shape in SHAPES])
def test_every_record_is_accounted_for(spark: SparkSession, tmp_path: Path, number: int) -> None:
    records = PER_DELIVERY * len(SHAPES)
    assert records >= 20_000
    [failure] = fuzz(spark, SEED, records, PER_DELIVERY, tmp_path, number)
    assert failure is None, str(failure)


def test_a_failing_delivery_is_made_smaller() -> None:
    units = [Unit(f"{n}".encode()) for n in range(100)]
    found = smallest_part(units, [], lambda part: units[70] in part)
    assert units[70] in found
    assert len(found) < 4


def test_suspects_that_fail_alone_are_kept() -> None:
    units = [Unit(f"{n}".encode()) for n in range(100)]
    assert smallest_part(units, units[70:72], lambda part: units[71] in part) == [units[71]]
