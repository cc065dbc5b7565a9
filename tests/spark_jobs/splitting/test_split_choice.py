from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spark_jobs.splitting.split_choice import MIN_CROSSING_SHARE, crossing_share
from spark_jobs.splitting.time_cutoffs import Cutoffs, TooFewEventsError
from tests.spark_jobs.one_shop import CLICKS, DAY, HEADER, ShopFixture

START = datetime(2026, 11, 1, tzinfo=UTC)
CUT = Cutoffs(START + timedelta(days=6), START + timedelta(days=8), 60, 20, 20)


def staged(folder: Path, histories: list[tuple[str | None, list[float]]]) -> list[str]:
    """Return files of sequences, each with a user (None: a session) and times in days."""
    moments = [[round((START + timedelta(days=day)).timestamp() * 1e6) for day in days] for _, days in histories]
    table = pa.table(
        {
            "user_key": pa.array([key for key, _ in histories], pa.string()),
            "timestamps": pa.array(moments, pa.list_(pa.int64())),
        }
    )
    half = len(histories) // 2
    files = [str(folder / name) for name in ("a.parquet", "b.parquet")]
    for file, part in zip(files, (table.slice(0, half), table.slice(half)), strict=True):
        pq.write_table(part, file)
    return files


def test_sessions_end_before_the_next_part_begins(tmp_path: Path) -> None:
    files = staged(tmp_path, [(None, [day / 10, day / 10 + 0.01]) for day in range(100)])
    assert crossing_share(files, CUT) < MIN_CROSSING_SHARE


def test_users_cross_the_cut_off(tmp_path: Path) -> None:
    files = staged(tmp_path, [("anna", [1, 7, 9]), ("ben", [1, 2]), ("cleo", [7, 9]), ("dan", [9])])
    # Of three with two events or more, one has events after the first cut-off, two after the second.
    assert crossing_share(files, CUT) == pytest.approx(1 / 3)


def test_sessions_are_ignored_where_there_are_users(tmp_path: Path) -> None:
    sessions: list[tuple[str | None, list[float]]] = [(None, [5, 5.1])] * 99
    assert crossing_share(staged(tmp_path, [("anna", [1, 7, 9]), *sessions]), CUT) == 1


def test_without_sequences_of_two_events_the_share_is_one(tmp_path: Path) -> None:
    assert crossing_share(staged(tmp_path, [("anna", [1]), (None, [9])]), CUT) == 1


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    return shop.describe()


def sessions(count: int, known: bool) -> list[str]:
    """Return the lines of sessions of three clicks, one every ten minutes of the day, each by another user."""
    lines = []
    for visit in range(count):
        who = f"u{visit}" if known else ""
        for click in range(3):
            at = datetime(DAY.year, DAY.month, DAY.day) + timedelta(minutes=10 * visit, seconds=20 * click)
            lines.append(f"{at},view,i{(visit + click) % 7},{who},s{visit},,,")
    return lines


@pytest.mark.parametrize("known", [False, True])
def test_a_log_of_visits_is_split_by_position(shop: ShopFixture, known: bool) -> None:
    shop.deliver(*sessions(100, known=known))
    shop.run()
    assert shop.split(strategy=None).facts["strategy"] == "leave_one_out"
    split = shop.rows("splits")[0]
    assert (split["train_events"], split["validation_events"], split["test_events"]) == (100, 100, 100)
    assert shop.split(strategy="temporal").facts["strategy"] == "temporal"


def test_a_log_without_real_times_is_split_by_position_by_default(shop: ShopFixture) -> None:
    shop.deliver(*(f"{DAY} 08:00:00,view,i{item},u{who},s{who},,," for who in range(5) for item in range(4)))
    shop.run()
    assert shop.split(strategy=None).facts["strategy"] == "leave_one_out"
    with pytest.raises(TooFewEventsError, match="Too many events share one time"):
        shop.split(strategy="temporal")


def test_returning_users_are_split_in_time(shop: ShopFixture) -> None:
    shop.deliver(
        *(f"{DAY} {hour:02}:00:0{who},view,i{hour % 7},u{who},s{hour},,," for who in range(5) for hour in range(10))
    )
    shop.run()
    assert shop.split(strategy=None).facts["strategy"] == "temporal"


def test_whole_days_are_split_as_near_to_the_shares_as_possible(shop: ShopFixture) -> None:
    days = [DAY - timedelta(days=back) for back in range(9, -1, -1)]
    counts = (200, 200, 200, 200, 50, 170, 130, 150, 20, 80)
    lines = [
        f"{day},view,i{n % 7},u{n % 50},s{n},,," for day, count in zip(days, counts, strict=True) for n in range(count)
    ]
    shop.describe(CLICKS.replace("events-{ds}.csv", "log.csv") + '[rules]\non = ["positive_quantity"]\n')
    (shop.files / "log.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    shop.run(window_days=10)
    shop.split(window_days=10)
    split = shop.rows("splits")[0]
    # Nearest to 840 and 1,120 of 1,400: 850 of the first five days, 1,150 of the first seven.
    assert (split["train_events"], split["validation_events"], split["test_events"]) == (850, 300, 250)
    assert (split["train_end_ties"], split["validation_end_ties"]) == (50, 130)


NOT_WANTED = {
    "only impressions": (
        ["impression,i{n},u{n},s{n}"] * 4,
        r"no event is a view, click, cart, purchase or rating \(only impression 4\).*map .*events.columns.event_type",
    ),
    "only searches": (["search,,u{n},s{n}"] * 4, r"no event is a view, .* \(only search 4\)"),
    "only cancellations": (["cancellation,i{n},u{n},s{n}"] * 4, r"\(only cancellation 4\)"),
    "nobody": (
        ["view,i{n},,", "impression,i{n},u1,s1"] * 2,
        r"no event has a user_key or a session_id \(.*view 2.*map",
    ),
    "all cancelled": (["purchase,i1,u1,s1", "cancellation,i1,u1,s1"], r"every purchase was cancelled"),
}


@pytest.mark.parametrize("name", NOT_WANTED)
def test_a_log_without_usable_events_is_one_clear_error(shop: ShopFixture, name: str) -> None:
    acts, message = NOT_WANTED[name]
    shop.deliver(*(f"{DAY} 08:00:0{n},{act.format(n=n)},,," for n, act in enumerate(acts)))
    shop.run()
    with pytest.raises(ValueError, match=message):
        shop.split(strategy=None)


def test_two_users_are_enough_for_a_split(shop: ShopFixture) -> None:
    shop.deliver(*(f"{DAY} 08:00:{n:02},view,i{n % 5},u{n % 2},s{n % 2},,," for n in range(20)))
    shop.run()
    assert shop.split(strategy=None).facts["strategy"] == "temporal"


def test_a_day_with_only_rejected_rows_is_split_with_earlier_days(shop: ShopFixture) -> None:
    before = DAY - timedelta(days=1)
    shop.deliver(*(f"{before} 08:00:{n:02},view,i{n % 5},u{n % 4},s{n % 4},,," for n in range(20)), day=before)
    shop.deliver(f"{DAY} 08:00:00,view,,u1,s1,,,")
    shop.run(window_days=2)
    assert shop.split(window_days=2).facts["strategy"] == "temporal"


def test_a_log_of_rejected_rows_names_the_query_for_them(shop: ShopFixture) -> None:
    shop.deliver(f"{DAY} 08:00:00,view,,u1,s1,,,")
    shop.run()
    with pytest.raises(ValueError, match=r"cleaning accepted no event of these days.*nightshelf sql"):
        shop.split()
