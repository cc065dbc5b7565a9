from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_tasks.run_key import RunKey, parse_day, parse_partition_key, partition_key

run_keys = st.builds(RunKey, source=st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True), ds=st.dates())


@given(run_key=run_keys, default=st.sampled_from(["simulated_shop", "online_retail"]))
def test_partition_key_is_read_back(run_key: RunKey, default: str) -> None:
    assert parse_partition_key(partition_key(run_key, default), default) == run_key


def test_the_shops_own_source_has_the_bare_day_as_key() -> None:
    assert partition_key(RunKey("shop", date(2026, 11, 20)), "shop") == "2026-11-20"
    assert partition_key(RunKey("online_retail", date(2011, 12, 9)), "shop") == "online_retail|2011-12-09"


def test_window_ends_with_the_date_of_the_run() -> None:
    assert RunKey("shop", date(2026, 3, 1)).window(3) == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "20/11/2026", ""])
def test_an_invalid_day_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(ValueError, match="write it as YYYY-MM-DD"):
        parse_day(text)


@pytest.mark.parametrize("name", ["Online Retail", "a|b", "", "1shop", "../x"])
def test_a_source_name_that_cannot_be_a_namespace_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="source name"):
        RunKey(name, date(2026, 11, 20))
