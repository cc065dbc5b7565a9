"""Attributes become rows that enough shoppers share, numbers in buckets, and nothing that was not allowed."""

import json

from pipeline_tasks.profile_values import BUCKETS, fit_profile_values


def test_pairs_that_too_few_share_are_left_out_and_shoppers_without_attributes_are_empty_bags() -> None:
    said = ['{"country": "DE"}', '{"country": "DE"}', '{"country": "FR"}', None]
    values = fit_profile_values(said, 2)
    assert values.pairs == ["country=DE"]
    rows, offsets = values.encode(said)
    assert rows.tolist() == [0, 0]
    assert offsets.tolist() == [0, 1, 2, 2, 2]


def test_numbers_are_told_apart_by_quantiles() -> None:
    said: list[str | None] = [json.dumps({"age": str(age)}) for age in range(160)]
    values = fit_profile_values(said, 20)
    assert values.pairs == [f"age#{number}" for number in range(BUCKETS)]
    rows, _ = values.encode(['{"age": 0}', '{"age": 500}'])
    assert rows.tolist() == [0, BUCKETS - 1]


def test_attributes_that_are_not_allowed_are_not_used() -> None:
    said: list[str | None] = ['{"country": "DE", "gender": "f"}'] * 5
    assert fit_profile_values(said, 2, ["country"]).pairs == ["country=DE"]
    assert fit_profile_values(said, 2, []).pairs == []
