"""Pairs that enough users share become rows, numbers become buckets, forbidden attributes are ignored."""

import json

from pipeline_tasks.data.profile_values import BUCKETS, fit_profile_values


def test_pairs_of_too_few_or_of_all_users_are_left_out() -> None:
    attributes = ['{"country": "DE", "shop": 1}', '{"country": "DE", "shop": 1}', '{"country": "FR", "shop": 1}', None]
    values = fit_profile_values(attributes[:3], least=2)
    assert values.pairs == ["country=DE"]
    assert values.numbers(attributes).tolist() == [[1], [1], [0], [0]]


def test_a_list_gives_several_values() -> None:
    attributes = ['{"likes": ["tea", "art"]}', '{"likes": ["tea", ""]}', '{"likes": ["art"]}', "{}"]
    values = fit_profile_values(attributes, least=2)
    assert values.pairs == ["likes=art", "likes=tea"]
    assert values.numbers(attributes).tolist() == [[2, 1], [2, 0], [1, 0], [0, 0]]


def test_many_distinct_numbers_become_quantile_buckets_and_few_are_categories() -> None:
    attributes = [json.dumps({"age": str(age), "occupation": age % 20}) for age in range(160)]
    values = fit_profile_values(attributes, least=8)
    ages = [f"age#{number}" for number in range(BUCKETS)]
    assert values.pairs == sorted([*ages, *(f"occupation={code}" for code in range(20))])
    assert values.numbers(['{"age": 0}', '{"age": 500}']).tolist() == [[1], [BUCKETS]]


def test_attributes_that_are_not_allowed_are_not_used() -> None:
    attributes = ['{"country": "DE", "gender": "f"}'] * 5 + [None]
    assert fit_profile_values(attributes, ["country"], least=2).pairs == ["country=DE"]
    assert fit_profile_values(attributes, [], least=2).pairs == []
