from pathlib import Path

import numpy as np
import pytest

from pipeline_tasks.candidates.candidate_training import train
from pipeline_tasks.candidates.encoded_catalog import with_encoder_schedule
from pipeline_tasks.config.training_settings import TrainingSettings
from pipeline_tasks.data.interactions import Integers
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.encoders.pair_batch import PairBatch
from tests.pipeline_tasks.logs import random_log
from tests.pipeline_tasks.run_fixtures import leave_last_out_run

pytestmark = pytest.mark.training

TRAINING = TrainingSettings(epochs=1, dimension=16, max_length=20, encoder_steps=2, threads=1)


def run_data() -> RunData:
    return leave_last_out_run([f"mug {n}" for n in range(30)], random_log(40, 30, seed=3))


def test_a_step_of_stage_one_has_as_many_pairs_as_are_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    backward = PairBatch.backward

    def counted(batch: PairBatch, pairs: tuple[Integers, Integers]) -> float:
        drawn.append(len(pairs[0]))
        return backward(batch, pairs)

    monkeypatch.setattr(PairBatch, "backward", counted)
    for pairs in (32, 64, 64):
        training = TRAINING.model_copy(update={"encoder_pairs": pairs})
        train(run_data(), "lora", training, tmp_path, lambda metrics, step: None)
    assert drawn == [32, 32, 64, 64], "other vectors were not taken for these; the same ones were"


def test_the_reason_that_stopped_stage_one_is_recorded_also_with_reused_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = run_data()
    monkeypatch.setattr(PairBatch, "backward", lambda self, pairs: float("nan"))
    for _ in range(2):
        trained = train(data, "lora", TRAINING, tmp_path, lambda metrics, step: None)
        assert trained.saved.facts["stopped"].startswith("loss of the encoder is nan")
        assert "in step 1 of 2" in trained.saved.facts["stopped"]
        assert np.isfinite(trained.saved.recommender.scores(data.log)).all()
    printed = capsys.readouterr().out
    assert printed.count("the encoder continues with the weights of step 0") == 1
    assert "reusing the text vectors of an earlier attempt" in printed


def test_a_gpu_gets_more_pairs() -> None:
    small, large = (with_encoder_schedule(TrainingSettings(), device) for device in ("cpu", "cuda"))
    assert small.encoder_steps * small.encoder_pairs < 2_000, "half a minute of one core"
    assert large.encoder_steps * large.encoder_pairs > 20 * small.encoder_steps * small.encoder_pairs


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_set_encoder_schedule_is_kept(device: str) -> None:
    training = TrainingSettings(encoder_steps=7, encoder_pairs=9)
    assert with_encoder_schedule(training, device) == training
    assert with_encoder_schedule(TrainingSettings(encoder_pairs=64), device).encoder_pairs == 64


def test_fewer_pairs_than_have_negatives_are_refused() -> None:
    with pytest.raises(ValueError, match="encoder_pairs is 4: set 8 or more"):
        TrainingSettings(encoder_pairs=4)
