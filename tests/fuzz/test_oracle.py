"""What the fuzzer finds wrong: a record that is lost, kept twice, or kept as something else than it is."""

from collections import Counter
from typing import Any

import pytest

from tests.fuzz.deliveries import SHAPES, Delivery, make_delivery
from tests.fuzz.odd_values import DAY, ERASED, Expected
from tests.fuzz.oracle import PublishedRows

Tables = dict[str, list[dict[str, Any]]]


def tables_of(delivery: Delivery) -> Tables:
    """Return tables as they must be after the delivery."""
    events: list[dict[str, Any]] = []
    quarantine: list[dict[str, Any]] = []
    duplicates = 0
    for unit in delivery.units():
        for record in unit.records:
            if record.erased:
                # Counted, and no row: as a duplicate is.
                duplicates += record.copies
            elif record.expected == Expected.EVENT:
                events.append({"arm": record.mark, "ds": record.ds})
                duplicates += record.copies - 1
            else:
                quarantine += [{"raw": record.mark, "rule": "corrupt_record"}] * record.copies
        quarantine += [{"raw": "", "rule": "corrupt_record"}] * unit.nameless[0]
    return balanced({"events": events, "quarantine": quarantine, "reconciliation": []}, duplicates)


def balanced(tables: Tables, duplicates: int) -> Tables:
    """Make the reconciliation fit the tables."""
    counts = {"event": len(tables["events"]), "quarantine": len(tables["quarantine"]), "duplicate": duplicates}
    counts["rows_in"] = sum(counts.values())
    tables["reconciliation"] = [{"outcome": name, "rows": rows, "ds": DAY} for name, rows in counts.items()]
    return tables


def problems(delivery: Delivery, tables: Tables) -> list[str]:
    return [problem.text for problem in PublishedRows(tables.__getitem__).problems(delivery)]


@pytest.fixture(params=range(len(SHAPES)), ids=[shape.name for shape in SHAPES])
def delivery(request: pytest.FixtureRequest) -> Delivery:
    return make_delivery(3, request.param, 300)


def test_a_delivery_that_is_accounted_for_has_no_problem(delivery: Delivery) -> None:
    assert problems(delivery, tables_of(delivery)) == []


def test_a_lost_event_is_found_though_the_balance_is_even(delivery: Delivery) -> None:
    tables = tables_of(delivery)
    lost = tables["events"].pop()
    duplicates = next(row["rows"] for row in tables["reconciliation"] if row["outcome"] == "duplicate")
    found = problems(delivery, balanced(tables, duplicates))
    assert any(lost["arm"] in text for text in found)


def test_an_event_that_is_kept_twice_is_found(delivery: Delivery) -> None:
    tables = tables_of(delivery)
    twice = tables["events"][0]
    tables["events"].append(twice)
    assert any(twice["arm"] in text for text in problems(delivery, balanced(tables, 0)))


def test_an_event_that_was_refused_too_is_found(delivery: Delivery) -> None:
    tables = tables_of(delivery)
    mark = tables["events"][0]["arm"]
    tables["quarantine"].append({"raw": f"..{mark}..", "rule": "bots"})
    assert any("both" in text for text in problems(delivery, balanced(tables, 0)))


@pytest.mark.parametrize("table", ["events", "quarantine"])
def test_a_row_of_an_erased_user_is_found(delivery: Delivery, table: str) -> None:
    tables = tables_of(delivery)
    row = {"raw": f'x,"{ERASED}",1', "rule": "bots", "arm": tables["events"][0]["arm"], "user_key": ERASED}
    tables[table][0] |= row
    assert any("rows name an erased user" in text for text in problems(delivery, balanced(tables, 0)))


def test_a_balance_that_is_not_even_is_found(delivery: Delivery) -> None:
    tables = tables_of(delivery)
    tables["reconciliation"][0]["rows"] += 1
    assert any("rows in" in text for text in problems(delivery, tables))


def test_a_delivery_of_a_seed_is_always_the_same() -> None:
    for number in range(len(SHAPES)):
        one, two = (make_delivery(7, number, 300) for _ in range(2))
        assert [unit.raw for unit in one.units()] == [unit.raw for unit in two.units()]
        assert Counter(r.mark for unit in one.units() for r in unit.records).most_common(1)[0][1] == 1
