"""Several JSON objects in a line, as Kinesis Firehose joins them, are all read (s12v/awsbeats#39)."""

import json

import pytest

from tests.spark_jobs.cases.case_run import balanced, land_and_clean
from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

COLUMNS = """
[events.columns]
ts = "at"
event_type = "kind"
item_id = "item"
user_key = "who"
"""
JSON = f"""
name = "firehose"
[events]
path = "stream-{{ds}}.json"
format = "json"
{COLUMNS}
"""
OBJECTS = [
    json.dumps(
        {
            "at": f"{DAY}T{6 + n // 6:02d}:{n % 6 * 10:02d}:00Z",
            "kind": ["view", "cart", "purchase"][n % 3],
            "item": f"F{n % 11:02d}",
            "who": f"x{n % 8}",
        },
        separators=(",", ":"),
    )
    for n in range(60)
]
SIZES = [1] * 10 + [2] * 5 + [3] * 5 + [5] * 5


def joined_lines() -> list[str]:
    """Return 25 lines of one to five objects."""
    lines, left = [], list(OBJECTS)
    for size in SIZES:
        lines.append("".join(left[:size]))
        del left[:size]
    assert (len(lines), left) == (25, [])
    return lines


def deliver(shop: ShopFixture, lines: list[str]) -> None:
    (shop.files / f"stream-{DAY}.json").write_text("\n".join(lines) + "\n")


def assert_whole(shop: ShopFixture, lines: list[str]) -> None:
    """All objects of a line are events, or the line is refused and kept as it stood."""
    outcomes = balanced(shop)
    if outcomes == {"rows_in": 60, "event": 60}:
        return
    several = [line for line in lines if line.count('"at"') > 1]
    single = len(lines) - len(several)
    assert outcomes == {"rows_in": len(lines), "event": single, "corrupt_record": len(several)}
    assert sorted(row["raw"] for row in shop.rows("quarantine")) == sorted(several)


def test_objects_cut_apart_by_select_are_all_events(shop: ShopFixture) -> None:
    fields = "at:string,kind:string,item:string,who:string"
    objects = "concat('[', replace(value, '}{', '},{'), ']')"
    cut = f"explode(from_json({objects}, 'array<struct<{fields}>>')) AS e"
    text = JSON.replace('"json"', f'"text"\nselect = ["{cut}"]')
    for name in ("at", "kind", "item", "who"):
        text = text.replace(f'"{name}"', f'"e.{name}"')
    shop.describe(text)
    deliver(shop, joined_lines())
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 60, "event": 60}


def test_every_object_of_a_line_is_read(shop: ShopFixture) -> None:
    shop.describe(JSON)
    lines = joined_lines()
    deliver(shop, lines)
    land_and_clean(shop)
    assert_whole(shop, lines)


def test_one_line_of_sixty_objects_is_not_one_event(shop: ShopFixture) -> None:
    shop.describe(JSON.replace(COLUMNS, f'fields = ["at", "kind", "item", "who"]\n{COLUMNS}'))
    lines = ["".join(OBJECTS)]
    deliver(shop, lines)
    land_and_clean(shop)
    assert_whole(shop, lines)


def test_objects_and_arrays_in_one_line_are_all_read(shop: ShopFixture) -> None:
    shop.describe(JSON)
    lines = OBJECTS[:12] + [f"[{','.join(OBJECTS[n : n + 4])}]" for n in range(12, 60, 4)]
    deliver(shop, lines)
    land_and_clean(shop)
    assert_whole(shop, lines)
