"""Two thousand records of items and as many of users, many of them broken or given again: each is accounted for."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from tests.fuzz.odd_values import DAY
from tests.spark_jobs.cases.case_run import balanced
from tests.spark_jobs.conftest import shop  # noqa: F401 - the fixture
from tests.spark_jobs.one_shop import CLICKS, ShopFixture

pytestmark = pytest.mark.spark

SEED, COUNT = 20_261_128, 2_000
TOML = """
[items]
path = "items.csv"
format = "csv"
[items.columns]
item_id = "sku"
title = "name"
price = "price"
[users]
path = "users.csv"
format = "csv"
[users.columns]
user_key = "id"
[users.attributes]
country = "country"
"""


@dataclass
class Catalog:
    """Lines of a catalog, and what must become of them."""

    lines: list[bytes] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    repeats: int = 0
    """Lines that are equal to an earlier one."""
    others: int = 0
    """Lines that describe an id again, and otherwise."""
    refused: int = 0
    """Lines without an id, or that cannot be parsed."""


def draw_catalog(seed: int, header: str, values: Sequence[str]) -> Catalog:
    """Return a catalog of lines `id,<values>`, drawn from the seed alone."""
    draw, catalog = random.Random(seed), Catalog([header.encode()])
    while len(catalog.lines) <= COUNT:
        key = f"k{len(catalog.lines):05d}"
        line = ",".join([key, *(draw.choice((value, "")) for value in values)]).encode()
        kind = draw.choices(("sane", "repeat", "other", "no id", "cut", "bytes"), (60, 10, 10, 5, 10, 5))[0]
        catalog.lines.append(line)
        if kind == "no id":
            catalog.lines[-1] = draw.choice((b"", b"NULL", b"  ", b"nan")) + line[len(key) :]
            catalog.refused += 1
        elif kind == "cut":
            catalog.lines[-1] = key.encode()
            catalog.refused += 1
        elif kind == "bytes":
            catalog.lines[-1] = line + b"\xff"
            catalog.refused += 1
        else:
            catalog.ids.add(key)
        if kind == "repeat":
            catalog.lines.append(line)
            catalog.repeats += 1
        elif kind == "other":
            catalog.lines.append(line + b" changed")
            catalog.others += 1
    return catalog


def outcome_rows(shop: ShopFixture) -> Counter[str]:  # noqa: F811
    outcomes: Counter[str] = Counter()
    for row in shop.rows("reconciliation"):
        outcomes[row["outcome"]] += row["rows"]
    return outcomes


def test_every_record_of_a_catalog_is_accounted_for(shop: ShopFixture) -> None:  # noqa: F811
    shop.describe(CLICKS + TOML)
    items = draw_catalog(SEED, "sku,name,price", ("Blue mug", "9.99"))
    users = draw_catalog(SEED + 1, "id,country", ("DE",))
    (shop.files / "items.csv").write_bytes(b"\n".join(items.lines) + b"\n")
    (shop.files / "users.csv").write_bytes(b"\n".join(users.lines) + b"\n")
    seen = enumerate(sorted(items.ids)[:300])
    shop.deliver(*(f"{DAY}T{8 + n // 60:02d}:{n % 60:02d}:00Z,view,{key},k{n:05d},s,,," for n, key in seen))
    shop.run()
    assert balanced(shop) == {"rows_in": 300, "event": 300}
    assert {row["item_id"] for row in shop.rows("items") if row["listed"]} == items.ids
    outcomes = outcome_rows(shop)
    for name, catalog in (("items", items), ("users", users)):
        delivered = len(catalog.lines) - 1
        assert outcomes[f"{name}_in"] == delivered
        assert outcomes[f"{name}_accepted"] == len(catalog.ids)
        lost = outcomes[f"{name}_quarantine"] + outcomes[f"{name}_duplicate"]
        assert lost == catalog.refused + catalog.repeats + catalog.others
        assert outcomes[f"{name}_duplicate"] >= catalog.repeats
    quarantine = Counter(row["source_file"].rpartition("/")[2] for row in shop.rows("quarantine"))
    assert quarantine == {f"{name}.csv": outcomes[f"{name}_quarantine"] for name in ("items", "users")}
