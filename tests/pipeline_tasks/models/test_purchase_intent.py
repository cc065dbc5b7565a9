import numpy as np
import pytest

from pipeline_tasks.models.fit_intent import fit_intent, fit_logistic
from pipeline_tasks.models.intent_model import (
    FEATURES,
    GroupEvents,
    Histories,
    active_before,
    bought_after,
    cutoffs,
    examples,
    group_features,
)
from pipeline_tasks.times import DAY

END = 100 * DAY


def events(*events: tuple[int, float, str]) -> GroupEvents:
    """(group, days before END, what)."""
    groups, ages, kinds = zip(*events, strict=True)
    times = np.array([END - int(age * DAY) for age in ages])
    return GroupEvents(np.array(groups), times, np.array(kinds) == "cart", np.array(kinds) == "purchase")


def test_features_by_hand() -> None:
    seen = events((0, 0.5, "view"), (0, 0.6, "cart"), (0, 5.0, "purchase"), (0, 13.5, "view"), (0, 15, "purchase"))
    found = np.expm1(group_features(seen, 2, END))
    by_name = dict(zip(FEATURES, found[0], strict=True))
    assert by_name == pytest.approx(
        {
            "days_since_event": 0.5,
            "days_since_purchase": 5.0,
            "looks": 2,
            "recent_looks": 1,
            "carts": 1,
            "recent_carts": 1,
            "purchases": 1,
            "active_days": 3,
        }
    )
    # Nothing in sight: as if 14 days ago.
    assert found[1] == pytest.approx([14, 14, 0, 0, 0, 0, 0, 0])


def test_features_end_before_the_cutoff_and_labels_begin_with_it() -> None:
    edge = events(
        (0, 0.0, "purchase"), (1, -6.9, "purchase"), (2, -7.0, "purchase"), (3, 0.1, "purchase"), (4, -1, "cart")
    )
    assert np.expm1(group_features(edge, 5, END))[:, 6].tolist() == pytest.approx([0, 0, 0, 1, 0])
    assert bought_after(edge, 5, END).tolist() == [True, True, False, False, False]
    assert active_before(edge, 5, END).tolist() == [False, False, False, True, False]


def shop(users: int, seed: int = 4) -> Histories:
    """Return users who put an item into the cart, and buy it within days with a user-specific probability."""
    rng = np.random.default_rng(seed)
    keys, sizes, rows = [], [], []
    for number in range(users):
        eager = rng.random()
        own = []
        for day in np.flatnonzero(rng.random(40) < 0.15):
            category = int(rng.integers(3))
            own.append((END - (40 - day) * DAY + int(rng.integers(DAY // 2)), category, "view"))
            if rng.random() < eager:
                own.append((own[-1][0] + 1, category, "cart"))
                own.append((own[-1][0] + int(rng.integers(1, DAY // 3)), category, "purchase"))
        keys.append(f"u{number:05d}")
        sizes.append(len(own))
        rows += sorted(own)
    times, categories, kinds = (np.array(column) for column in zip(*rows, strict=True))
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return Histories(keys, offsets, categories, times, kinds == "cart", kinds == "purchase")


def test_foresees_better_than_the_base_rate_and_is_calibrated() -> None:
    histories = shop(3_000)
    fitted = fit_intent(histories, END)
    facts = {name: float(value) for name, value in fitted.facts.items()}
    # Twelve standard errors above chance.
    assert facts["intent_auc"] > 0.62
    assert facts["intent_log_loss"] < facts["intent_base_log_loss"] - 0.02
    assert facts["category_intent_auc"] > 0.6
    assert facts["category_intent_log_loss"] < facts["category_intent_base_log_loss"]
    assert facts["intent_mean_predicted"] == pytest.approx(facts["intent_share_of_yes"], abs=0.03)
    assert fitted.growth == pytest.approx(1, abs=0.15)


def test_probabilities_are_calibrated() -> None:
    """The model is fitted on one shop and compared with a similar one, in five groups of equal size."""
    model = fit_intent(shop(3_000), END).model
    assert model is not None
    other = shop(4_000, seed=9)
    (features, bought), _ = examples(other, cutoffs(END)[1])
    predicted = model.any.probability(features)
    for group in np.array_split(np.argsort(predicted), 5):
        assert predicted[group].mean() == pytest.approx(bought[group].mean(), abs=0.06)


def test_nothing_after_the_run_date_is_read() -> None:
    histories = shop(400)
    before = histories.times < END - 7 * DAY
    sizes = np.add.reduceat(before, histories.offsets[:-1]) * (np.diff(histories.offsets) > 0)
    cut = Histories(
        histories.keys,
        np.concatenate([[0], np.cumsum(sizes)]),
        histories.categories[before],
        histories.times[before],
        histories.carts[before],
        histories.purchases[before],
    )
    assert (histories.times >= END - 7 * DAY).any()
    earlier, whole = fit_intent(cut, END - 7 * DAY), fit_intent(histories, END - 7 * DAY)
    assert earlier.model is not None
    assert whole.model is not None
    assert np.array_equal(whole.model.any.weights, earlier.model.any.weights)
    for mine, theirs in zip(
        whole.model.predict(histories, END - 7 * DAY), earlier.model.predict(cut, END - 7 * DAY), strict=True
    ):
        assert np.array_equal(mine, theirs)


def test_short_histories_are_learned_from_as_far_as_they_go() -> None:
    whole = shop(400)
    for days, has_model, expected_reason in ((15, True, "needed to measure it"), (8, False, "stays empty")):
        kept = whole.times >= END - days * DAY
        sizes = [int(kept[a:b].sum()) for a, b in zip(whole.offsets[:-1], whole.offsets[1:], strict=True)]
        short = Histories(
            whole.keys,
            np.concatenate([[0], np.cumsum(sizes)]),
            whole.categories[kept],
            whole.times[kept],
            whole.carts[kept],
            whole.purchases[kept],
        )
        fitted = fit_intent(short, END)
        assert (fitted.model is not None, list(fitted.facts)) == (has_model, ["intent"])
        assert fitted.facts["intent"].endswith(expected_reason) or expected_reason in fitted.facts["intent"]


def test_a_log_without_purchases_gives_no_model_and_reports_it() -> None:
    histories = shop(50)
    none = Histories(
        histories.keys,
        histories.offsets,
        histories.categories,
        histories.times,
        histories.carts,
        histories.carts & False,
    )
    fitted = fit_intent(none, END)
    assert fitted.model is None
    assert "stays empty" in fitted.facts["intent"]


def test_a_constant_feature_changes_nothing() -> None:
    labels = np.array([False, True] * 50)
    features = np.stack([labels + np.linspace(0, 1, 100), np.ones(100)], axis=1)
    model = fit_logistic(features, labels)
    assert np.isfinite(model.probability(features)).all()
