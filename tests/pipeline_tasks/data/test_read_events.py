from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline_tasks.config.settings import Settings
from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.data.run_data import read_ratings
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.tables.contracts import TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from tests.pipeline_tasks.logs import log_of

DAY = date(2026, 11, 20)
BEFORE = DAY - timedelta(days=1)
CATALOG = make_catalog([{"item_id": "pot"}, {"item_id": "cup"}], [])
LOG = log_of({"ann": [(0, 0)], "session:s1": [(1, 0)]})


def commit(lake: Lake, ds: date, *events: dict[str, Any]) -> None:
    time = datetime.combine(ds, datetime.min.time(), UTC)
    rows = [{"event_id": n, "ts": time, "ds": ds, "arrived": ds} | event for n, event in enumerate(events)]
    lake.commit("events", [ds], lake.write_arrow("events", pa.Table.from_pylist(rows, arrow_schema(TABLES["events"]))))


def test_ratings_of_any_event_type_are_read_for_users_with_a_history(tmp_path: Path) -> None:
    lake = Lake.open(Settings(home=tmp_path), "shop")
    assert not len(read_ratings(lake, (BEFORE, DAY), LOG, CATALOG).times), "an empty lake"
    ann = {"user_key": "ann", "event_type": "purchase"}
    commit(
        lake,
        DAY,
        ann | {"item_id": "cup", "rating": 4.5},
        ann | {"item_id": "pot", "rating": None},
        ann | {"item_id": "gone", "rating": 1.0},
        {"session_id": "s1", "event_type": "rating", "item_id": "pot", "rating": 2.0},
        {"user_key": "unknown", "event_type": "rating", "item_id": "pot", "rating": 3.0},
    )
    found = read_ratings(lake, (BEFORE, DAY), LOG, CATALOG)
    cup, pot = CATALOG.item_ids.index("cup"), CATALOG.item_ids.index("pot")
    assert list(zip(found.rows, found.items, found.values, strict=True)) == [(0, cup, 4.5), (1, pot, 2.0)]
    assert set(found.times) == {int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 1_000_000}
    assert not len(read_ratings(lake, (BEFORE, BEFORE), LOG, CATALOG).times)


def test_files_without_the_column_rating_have_no_ratings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, rated = Lake.open(Settings(home=tmp_path), "shop"), {"user_key": "ann", "event_type": "rating"}
    columns = tuple(column for column in TABLES["events"].columns if column.name != "rating")
    with monkeypatch.context() as earlier:
        earlier.setitem(TABLES, "events", replace(TABLES["events"], columns=columns))
        commit(lake, BEFORE, rated | {"item_id": "pot"})
    assert not len(read_ratings(lake, (BEFORE, DAY), LOG, CATALOG).times)
    commit(lake, DAY, rated | {"item_id": "pot", "rating": 5.0})
    assert read_ratings(lake, (BEFORE, DAY), LOG, CATALOG).values.tolist() == [5.0]
