"""Logs that can be cut between days only, equal records that are units, and a log without usable events."""

import hashlib
import random
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import combinations

import pytest

from tests.spark_jobs.cases.case_run import balanced, land_and_clean, split_published
from tests.spark_jobs.one_shop import DAY, ShopFixture

pytestmark = pytest.mark.spark

# A date alone and a line a unit: equal lines are real (recsyschallenge/2017#11, lenskit/lkpy#769).
FASHION = """
name = "daily_dates"
[events]
path = "transactions.csv"
format = "csv"
[events.columns]
ts = "t_dat"
event_type = "'purchase'"
item_id = "article_id"
user_key = "customer_id"
price = "price"
[items]
path = "articles.csv"
format = "csv"
[items.columns]
item_id = "article_id"
title = "prod_name"
category = "concat_ws(' > ', index_group_name, product_type_name)"
"""
UNITS = '[rules]\non = ["positive_quantity", "bots"]\n'
ARTICLES, GROUPS = 72, 6


def liked(draw: random.Random, taste: int, items: int) -> list[float]:
    return [(12 if item % GROUPS == taste else 1) / (1 + item // GROUPS) for item in range(items)]


def article(number: int) -> str:
    return f"0{663713001 + 17 * number}"


def transactions() -> list[str]:
    """Return the lines of 240 customers on 38 days, every twelfth bought twice."""
    draw, rows = random.Random(19), []
    for user in range(240):
        key, taste = hashlib.sha256(f"synthetic{user}".encode()).hexdigest(), user % GROUPS
        for _ in range(3 + user % 3):
            day = date(2026, 10, 14) + timedelta(days=draw.randrange(38))
            for _ in range(draw.choice([1, 2, 3])):
                [item] = draw.choices(range(ARTICLES), liked(draw, taste, ARTICLES))
                units = 2 if draw.random() < 0.08 else 1
                rows += [f"{day},{key},{article(item)},{0.0169 + item % 9 * 0.0085:.6f}"] * units
    return sorted(rows)


def deliver_fashion(shop: ShopFixture, toml: str) -> list[str]:
    shop.describe(toml)
    rows = transactions()
    (shop.files / "transactions.csv").write_text("\n".join(["t_dat,customer_id,article_id,price", *rows]) + "\n")
    kinds = ["Trousers", "T-shirt", "Dress", "Sweater", "Socks", "Jacket"]
    articles = [
        f"{article(n)},{kinds[n % GROUPS]} model {n // GROUPS},{kinds[n % GROUPS]},{['Ladieswear', 'Menswear'][n % 2]}"
        for n in range(ARTICLES)
    ]
    head = "article_id,prod_name,product_type_name,index_group_name"
    (shop.files / "articles.csv").write_text("\n".join([head, *articles]) + "\n")
    return rows


def nearest_shares(days: Counter[str]) -> tuple[int, int]:
    """Return the counts of train, and of train and validation, of the two cuts between days of which the part that is
    off most from 6:2:2 is off least."""
    total, before, cuts = days.total(), 0, []
    for day in sorted(days):
        cuts.append(before)
        before += days[day]

    def off(pair: tuple[int, int]) -> tuple[float, float]:
        one, two = pair
        parts = (abs(one - 0.6 * total), abs(two - one - 0.2 * total), abs(total - two - 0.2 * total))
        return max(parts), sum(parts)

    return min(combinations(cuts, 2), key=off)


@pytest.mark.parametrize("units_are_kept", [True, False])
def test_a_log_of_whole_days_is_cut_between_days(shop: ShopFixture, units_are_kept: bool) -> None:
    rows = deliver_fashion(shop, FASHION + UNITS if units_are_kept else FASHION)
    equal = len(rows) - len(set(rows))
    assert equal > 200
    land_and_clean(shop)
    outcomes = balanced(shop)
    duplicates = 0 if units_are_kept else equal
    assert outcomes["event"] == len(rows) - duplicates
    assert outcomes["rows_in"] == len(rows)
    events = shop.rows("events")
    assert len({row["event_id"] for row in events}) == len(events), "event_id is unique"
    catalog = shop.rows("items")
    assert {row["item_id"] for row in catalog} == {article(n) for n in range(ARTICLES)}
    assert all(row["title"] for row in catalog)
    first = {row["event_id"] for row in events}
    _, report = split_published(shop)
    assert report.critical == []
    [cut] = shop.rows("splits")
    kept = Counter(line[:10] for line in (rows if units_are_kept else set(rows)))
    train, both = nearest_shares(kept)
    assert (cut["train_events"], cut["train_events"] + cut["validation_events"]) == (train, both)
    shop.run(window_days=0)
    assert {row["event_id"] for row in shop.rows("events")} == first, "stable between runs"


# Impressions without any other event (recsyschallenge/2016#11, metarank/metarank#288).
SHOWN = """
name = "impressions_only"
[events]
path = "shown.csv"
format = "csv"
[events.columns]
ts = "time"
event_type = "'impression'"
item_id = "item"
user_key = "user"
session_id = "page"
position = "place"
[items]
path = "items.csv"
format = "csv"
[items.columns]
item_id = "item"
title = "title"
"""


def deliver_shown(shop: ShopFixture, toml: str) -> None:
    """Write two pages of ten items for each of two hundred users."""
    shop.describe(toml)
    draw, rows = random.Random(22), []
    for user in range(200):
        for page in range(2):
            day = draw.randrange(20) if user else 19
            at = datetime(2026, 11, 1) + timedelta(days=day, seconds=draw.randrange(20_000, 84_000))
            seen = dict.fromkeys(draw.choices(range(60), liked(draw, user % GROUPS, 60), k=80))
            rows += [
                f"{at:%Y-%m-%d %H:%M:%S},u{user},a{item:02d},{place},p{user}-{page}"
                for place, item in enumerate(list(seen)[:10], start=1)
            ]
    rows.sort()
    (shop.files / "shown.csv").write_text("\n".join(["time,user,item,place,page", *rows]) + "\n")
    offers = [f"a{n:02d},Offer {n // GROUPS} of brand {n % GROUPS}" for n in range(60)]
    (shop.files / "items.csv").write_text("\n".join(["item,title", *offers]) + "\n")
    assert len(rows) == 4_000


def test_impressions_alone_are_one_clear_error(shop: ShopFixture) -> None:
    deliver_shown(shop, SHOWN)
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 4_000, "event": 4_000}
    with pytest.raises(ValueError, match="impression") as failed:
        split_published(shop)
    message = str(failed.value)
    assert "impression 4,000" in message or "impression 4000" in message
    assert "event_type" in message
    for wanted in ("view", "click", "cart", "purchase", "rating"):
        assert wanted in message
    assert "longer window" not in message
    assert "\n" not in message
    assert len(shop.rows("events", "ds")) == 4_000


def test_one_event_type_alone_is_enough(shop: ShopFixture) -> None:
    deliver_shown(shop, SHOWN.replace("'impression'", "'view'"))
    land_and_clean(shop)
    assert balanced(shop) == {"rows_in": 4_000, "event": 4_000}
    split_published(shop)
    histories = shop.rows("sequences", "user_key", "ds")
    assert {row["user_key"] for row in histories} == {f"u{n}" for n in range(200)}
    assert {row["ds"] for row in histories} == {DAY}
