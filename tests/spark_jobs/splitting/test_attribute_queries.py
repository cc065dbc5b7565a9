"""A query is attributed to the events that it led to: never to earlier ones, never to another session."""

from datetime import timedelta

from pipeline_tasks.data.interactions import from_sequences
from tests.spark_jobs.one_shop import DAY, ShopFixture

FILLER = [f"2026-11-19T0{hour}:00:00Z,view,P{hour},zoe,z{hour},,," for hour in range(1, 9)]
"""Enough to be split."""


def typed(
    shop: ShopFixture, *lines: str, before: tuple[str, ...] = ()
) -> dict[str, tuple[list[str] | None, str | None]]:
    """Return sequence_key -> (queries, last_query) of the sequences that the lines give."""
    shop.deliver(*FILLER, *before, day=DAY - timedelta(1))
    shop.deliver(*lines)
    shop.run(window_days=2)
    shop.split(window_days=2)
    return {row["sequence_key"]: (row["queries"], row["last_query"]) for row in shop.rows("sequences")}


def test_a_query_is_attributed_to_the_events_after_it_in_its_session(shop: ShopFixture) -> None:
    found = typed(
        shop,
        "2026-11-20T09:00:00Z,view,P1,ann,s1,,,",
        "2026-11-20T09:01:00Z,search,,ann,s1,,,  Red Tea",
        "2026-11-20T09:02:00Z,impression,P9,ann,s1,,,",
        "2026-11-20T09:03:00Z,view,P2,ann,s1,,,",
        "2026-11-20T09:04:00Z,purchase,P2,ann,s1,2.00,1,",
        "2026-11-20T09:05:00Z,search,,ann,s1,,,rug",
        "2026-11-20T09:05:00Z,view,P3,ann,s1,,,",
        "2026-11-20T09:40:00Z,view,P4,ann,s1,,,",
        "2026-11-20T09:41:00Z,view,P5,ann,s2,,,",
        "2026-11-20T09:00:00Z,view,P1,bob,s3,,,lamp",
        "2026-11-20T09:01:00Z,view,P2,bob,s3,,,",
        "2026-11-20T09:01:00Z,view,P1,,s4,,,",
        "2026-11-20T09:02:00Z,search,,,s4,,,cup",
        "2026-11-20T09:03:00Z,view,P2,,s4,,,",
    )
    assert found == {
        "ann": (["", "red tea", "red tea", "rug", "", ""], None),
        "bob": (["lamp", "lamp"], None),
        "session:s4": (["", "cup"], None),
        "zoe": (None, None),
    }


def test_the_last_query_without_an_event_is_kept_for_its_day(shop: ShopFixture) -> None:
    found = typed(
        shop,
        "2026-11-20T09:00:00Z,view,P1,ann,s1,,,",
        "2026-11-20T09:01:00Z,search,,ann,s1,,,tea",
        "2026-11-20T23:01:00Z,search,,ann,s2,,,rug",
        "2026-11-20T09:01:00Z,search,,cleo,s5,,,rug",
        before=("2026-11-19T09:00:00Z,view,P1,bob,s3,,,", "2026-11-19T09:01:00Z,search,,bob,s3,,,tea"),
    )
    assert found == {"ann": (None, "rug"), "bob": (None, None), "zoe": (None, None)}
    log = from_sequences(shop.lake.read("sequences"), [f"P{number}" for number in range(10)])
    assert log.queries is not None
    assert [log.queries.texts[number] for number in log.queries.last] == ["rug", "", ""]
    assert not log.queries.led.any()


def test_a_log_without_queries_has_null_queries(shop: ShopFixture) -> None:
    found = typed(shop, "2026-11-20T09:00:00Z,view,P1,ann,s1,,,")
    assert found == {"ann": (None, None), "zoe": (None, None)}
    assert from_sequences(shop.lake.read("sequences"), [f"P{number}" for number in range(10)]).queries is None
