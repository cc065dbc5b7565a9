from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.sources.landing import Landing

FIRST, SECOND = date(2026, 11, 19), date(2026, 11, 20)


def write(incoming: Path, arrived: date, days: list[date], who: pa.Array) -> None:
    for ds in days:
        part = incoming / f"ds={ds}" / f"arrived={arrived}"
        part.mkdir(parents=True)
        pq.write_table(pa.table({"who": who, "_record_id": [1]}), part / "a.parquet")


def test_parts_that_were_rewritten_with_other_types_differ_from_those_of_their_delivery(tmp_path: Path) -> None:
    """Erasing a user reads days together, so that their columns get the types that hold the values of all."""
    landing = Landing(Settings(home=tmp_path), "shop", "events")
    write(landing.incoming(), SECOND, [FIRST, SECOND], pa.array([1]))
    landing.take_in(landing.folder / "incoming", {SECOND: "mark"})
    assert not landing.ledger().differing_columns([FIRST, SECOND])
    write(landing.incoming(), SECOND, [FIRST], pa.array([1]))
    landing.replace_parts(landing.folder / "incoming", [(FIRST, SECOND)])
    assert not landing.ledger().differing_columns([FIRST, SECOND])
    write(landing.incoming(), SECOND, [FIRST], pa.array(["1"]))
    landing.replace_parts(landing.folder / "incoming", [(FIRST, SECOND)])
    assert landing.ledger().differing_columns([FIRST, SECOND])
