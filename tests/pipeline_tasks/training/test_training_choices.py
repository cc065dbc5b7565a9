import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Interactions
from pipeline_tasks.training.fit_options import FitOptions, read_options
from pipeline_tasks.training.training_choices import choose_negatives, choose_options, given_options, log_statistics
from tests.pipeline_tasks.logs import log_of, random_log


def long_log(sequences: int, length: int, items: int) -> Interactions:
    rng = np.random.default_rng(0)
    return log_of({f"{n:04d}": [(int(rng.integers(items)), day) for day in range(length)] for n in range(sequences)})


def test_facts_are_counted() -> None:
    # a: two in one basket, then one of them again and a new one; b: never the same.
    facts = log_statistics(log_of({"a": [(0, 1), (1, 1), (0, 5), (2, 6)], "b": [(3, 1), (4, 2)], "c": [(0, 1)]}))
    assert (facts.events, facts.items) == (7, 5)
    assert facts.mean_length == 3
    assert facts.basket == pytest.approx(7 / 6)
    assert facts.repeat_share == pytest.approx(1 / 3)


def test_the_split_strategy_determines_the_targets() -> None:
    log = random_log(50, 20, seed=1)
    following = choose_options(log, "leave_one_out", TrainingSettings(), 50)
    anything = choose_options(log, "temporal", TrainingSettings(), 50)
    assert (following.reach, following.answers, following.linear_kind) == (1, 1, "sequence")
    assert anything.reach > 1
    assert (following.averaged, anything.averaged) == (True, False)
    assert following.linear_rank > 0
    assert anything.linear_rank > 0


def test_size_and_shape_of_the_log_decide_the_rest() -> None:
    small, large = long_log(100, 10, 50), long_log(1200, 100, 50)
    few, many = (choose_options(log, "temporal", TrainingSettings(), 50) for log in (small, large))
    assert few.linear_rank < many.linear_rank
    assert choose_options(small, "leave_one_out", TrainingSettings(), 50).dimension == 128
    assert choose_options(large, "leave_one_out", TrainingSettings(), 50).dimension == 256
    assert few.dropout > many.dropout
    assert few.max_length < many.max_length <= 200


def test_repeats_are_modelled_where_there_are_some() -> None:
    again = log_of({f"u{n}": [(n % 3, 1), (n % 3, 5), (3 + n, 9)] for n in range(9)})
    never = log_of({f"u{n}": [(n, 1), (n + 1, 5)] for n in range(9)})
    # Times that give only an order give no recency.
    timeless = Interactions(again.keys, again.known, again.offsets, again.items, again.types, np.arange(27) % 3)
    assert choose_options(again, "temporal", TrainingSettings(), 50).repeats
    assert not choose_options(never, "temporal", TrainingSettings(), 50).repeats
    assert not choose_options(timeless, "leave_one_out", TrainingSettings(), 50).repeats


def test_options_that_are_set_are_kept() -> None:
    training = TrainingSettings(epochs=3, dimension=32, max_length=9, dropout=0.4, repeats=False, seed=7)
    options = choose_options(long_log(20, 5, 3), "temporal", training, 50)
    assert (options.epochs, options.dimension, options.max_length, options.dropout) == (3, 32, 9, 0.4)
    assert (options.repeats, options.seed) == (False, 7)


def test_a_setting_with_the_name_of_an_option_is_that_option() -> None:
    """Settings that are not chosen from the log have the same default as the option."""
    training, options = TrainingSettings(), FitOptions()
    chosen = choose_options(long_log(20, 5, 3), "temporal", training, 50)
    for name in ("seed", "matching", "task_weights", "event_weights", "micro_batch", "liked_rating"):
        assert getattr(chosen, name) == getattr(training, name) == getattr(options, name), name
    given = TrainingSettings(dropout=0.0, repeats=False, seed=7, event_weights={"view": 0.0}, encoder_steps=3)
    assert given_options(training) == {}
    assert given_options(given).keys() == {"dropout", "repeats", "seed", "event_weights"}
    assert choose_options(long_log(20, 5, 3), "temporal", given, 50).dropout == 0


def test_many_short_histories_are_learned_by_an_ensemble_of_two() -> None:
    short, long = long_log(10_000, 10, 50), long_log(1200, 100, 50)
    chosen = [choose_options(log, "leave_one_out", TrainingSettings(), 50) for log in (short, long)]
    chosen.append(choose_options(short, "temporal", TrainingSettings(), 50))
    chosen.append(choose_options(short, "leave_one_out", TrainingSettings(), 100_001))
    assert [(options.members, options.dimension) for options in chosen] == [(2, 512), (1, 256), (1, 128), (1, 256)]


@pytest.mark.parametrize("by_hand", [{"members": 1}, {"matching": "additive"}, {"dimension": 12}])
def test_members_are_one_where_they_are_set_so_or_two_cannot_be(by_hand: dict[str, Any]) -> None:
    options = choose_options(long_log(10_000, 10, 50), "leave_one_out", TrainingSettings(**by_hand), 50)
    assert (options.members, options.dimension) == (1, by_hand.get("dimension", 256))


def test_a_large_catalog_is_sampled_and_what_is_set_is_kept() -> None:
    options = [
        choose_options(long_log(20, 5, 3), "temporal", TrainingSettings(negatives=number, micro_batch=64), 50)
        for number in (0, 7)
    ]
    assert [(one.negatives, one.micro_batch) for one in options] == [(0, 64), (7, 64)]
    assert choose_negatives(100_000) == 0
    assert choose_negatives(1_000_000) == 8_192


def test_all_items_of_the_catalog_count_and_not_only_relevant_ones() -> None:
    log = long_log(20, 5, 50)
    assert choose_options(log, "temporal", TrainingSettings(), 100_000).negatives == 0
    assert choose_options(log, "temporal", TrainingSettings(), 150_000).negatives == 8_192


def test_options_of_saved_models_are_read() -> None:
    options = FitOptions(epochs=3, content_blocks=(384, 512), view_conversion=True)
    saved = json.loads(json.dumps(asdict(options)))
    assert read_options(saved) == options
    # Models saved before 2026-11-29 have another name for one option, and two that are now tuned weights.
    saved["looked_at"] = saved.pop("view_conversion")
    assert read_options(saved | {"linear_weight": 0.0, "trend_shift": []}) == options
