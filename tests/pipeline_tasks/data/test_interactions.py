from datetime import date

import pyarrow as pa
import pytest

from pipeline_tasks.data.interactions import from_sequences
from pipeline_tasks.tables.contracts import CHOSEN_TYPES, TABLES
from pipeline_tasks.tables.schemas import arrow_schema
from pipeline_tasks.times import DAY
from tests.pipeline_tasks.logs import log_of


def sequences(*rows: tuple[str, str | None, list[str | None], list[str], list[int]]) -> pa.Table:
    names = ("sequence_key", "user_key", "item_ids", "event_types", "timestamps")
    records = [dict(zip(names, row, strict=True)) | {"ds": date(2026, 11, 20)} for row in rows]
    return pa.Table.from_pylist(records, schema=arrow_schema(TABLES["sequences"]))


def test_from_sequences_sorts_keys_and_keeps_only_chosen_types() -> None:
    log = from_sequences(
        sequences(
            ("u2", "u2", ["b", None, "a"], ["view", "search", "purchase"], [1, 2, 3]),
            ("session:9", None, ["a"], ["cart"], [7]),
            ("u1", "u1", ["b"], ["impression"], [5]),
        ),
        ["a", "b"],
    )
    assert log.keys == ["session:9", "u1", "u2"]
    assert log.known.tolist() == [False, True, True]
    assert log.offsets.tolist() == [0, 1, 1, 3]
    assert log.items.tolist() == [0, 1, 0]
    assert [CHOSEN_TYPES[kind] for kind in log.types] == ["cart", "view", "purchase"]
    assert log.times.tolist() == [7, 1, 3]


def test_an_item_beyond_the_catalog_is_refused() -> None:
    with pytest.raises(ValueError, match="1 events of sequences name items that are not in the catalog"):
        from_sequences(sequences(("u1", "u1", ["z"], ["view"], [1])), ["a"])


def test_cuts_and_selection() -> None:
    log = log_of({"a": [(1, 1), (2, 2), (3, 3)], "b": [], "c": [(4, 2), (5, 9)]})
    assert log.until(2 * DAY).items.tolist() == [1, 2, 4]
    chosen = log.select(log.lengths.argsort()[::-1])
    assert chosen.keys[0] == "a"
    assert chosen.items.tolist() == [1, 2, 3, 4, 5]
    assert log.before(log.lengths - 1 * (log.lengths > 0)).items.tolist() == [1, 2, 4]
    assert log.data_extent.events == 5
    assert log.data_extent.last_timestamp == 9 * DAY
