import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

from pipeline_tasks.evaluation.metrics import measure_probabilities

RNG = np.random.default_rng(3)


def test_metrics_equal_those_of_torchmetrics() -> None:
    # Rounded to get many ties.
    probability = np.round(RNG.random(500), 1) * 0.98 + 0.01
    truth = RNG.random(500) < probability
    overall = measure_probabilities(truth, probability).overall
    given, answers = torch.from_numpy(probability), torch.from_numpy(truth.astype(np.int64))
    assert overall["auc"] == pytest.approx(float(binary_auroc(given, answers)), abs=1e-6)
    loss = torch.nn.functional.binary_cross_entropy(given, answers.double())
    assert overall["log_loss"] == pytest.approx(float(loss))
    assert overall["brier"] == pytest.approx(float(((given - answers) ** 2).mean()))
    error = binary_calibration_error(given.float(), answers, n_bins=10)
    assert overall["calibration_error"] == pytest.approx(float(error), abs=1e-6)


def test_a_useful_model_beats_the_base_rate_and_certainty_is_finite() -> None:
    truth = RNG.random(400) < 0.2
    sure = measure_probabilities(truth, truth.astype(np.float64))
    assert sure.overall["auc"] == 1
    assert sure.overall["log_loss"] == pytest.approx(0, abs=1e-6)
    always = measure_probabilities(truth, np.full(400, truth.mean()))
    assert always.overall["log_loss"] == pytest.approx(always.overall["base_log_loss"])
    assert always.overall["auc"] == 0.5
    # With a known base rate of a half the loss is ln 2 for each example.
    assert measure_probabilities(truth, np.full(400, 0.3), base=0.5).overall["base_log_loss"] == pytest.approx(
        np.log(2)
    )
    wrong = measure_probabilities(truth, (~truth).astype(np.float64))
    assert np.isfinite(wrong.losses).all()
    assert wrong.overall["log_loss"] > 10


def test_invalid_probabilities_and_equal_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.1: apply the sigmoid"):
        measure_probabilities(np.array([True, False]), np.array([2.0, -1.0]))
    with pytest.raises(ValueError, match=r"within 0\.\.1"):
        measure_probabilities(np.array([True, False]), np.array([np.nan, 0.5]))
    with pytest.raises(ValueError, match="all 3 labels are equal"):
        measure_probabilities(np.ones(3, dtype=bool), np.full(3, 0.5))
