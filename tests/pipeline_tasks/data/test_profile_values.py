"""Attributes become rows that enough users share, numbers in buckets, and nothing that was not allowed."""

import json

from pipeline_tasks.data.profile_values import BUCKETS, fit_profile_values


def test_pairs_that_too_few_or_all_share_are_left_out() -> None:
    said = ['{"country": "DE", "shop": 1}', '{"country": "DE", "shop": 1}', '{"country": "FR", "shop": 1}', None]
    values = fit_profile_values(said[:3], least=2)
    assert values.pairs == ["country=DE"]
    assert values.numbers(said).tolist() == [[1], [1], [0], [0]]


def test_lists_name_several_values() -> None:
    said = ['{"likes": ["tea", "art"]}', '{"likes": ["tea", ""]}', '{"likes": ["art"]}', "{}"]
    values = fit_profile_values(said, least=2)
    assert values.pairs == ["likes=art", "likes=tea"]
    assert values.numbers(said).tolist() == [[2, 1], [2, 0], [1, 0], [0, 0]]


def test_many_different_numbers_are_told_apart_by_quantiles_and_few_are_codes() -> None:
    said = [json.dumps({"age": str(age), "occupation": age % 20}) for age in range(160)]
    values = fit_profile_values(said, least=8)
    ages = [f"age#{number}" for number in range(BUCKETS)]
    assert values.pairs == sorted([*ages, *(f"occupation={code}" for code in range(20))])
    assert values.numbers(['{"age": 0}', '{"age": 500}']).tolist() == [[1], [BUCKETS]]


def test_attributes_that_are_not_allowed_are_not_used() -> None:
    said = ['{"country": "DE", "gender": "f"}'] * 5 + [None]
    assert fit_profile_values(said, ["country"], least=2).pairs == ["country=DE"]
    assert fit_profile_values(said, [], least=2).pairs == []
