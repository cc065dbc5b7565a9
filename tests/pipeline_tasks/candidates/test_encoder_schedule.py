import pytest

from pipeline_tasks.candidates.encoder_schedule import with_stage_one_size
from pipeline_tasks.config.training_settings import TrainingSettings


def test_a_gpu_bears_more_pairs() -> None:
    small, large = (with_stage_one_size(TrainingSettings(), device) for device in ("cpu", "cuda"))
    assert small.encoder_steps * small.encoder_pairs < 2_000, "half a minute of one core"
    assert large.encoder_steps * large.encoder_pairs > 20 * small.encoder_steps * small.encoder_pairs


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_set_is_kept(device: str) -> None:
    training = TrainingSettings(encoder_steps=7, encoder_pairs=9)
    assert with_stage_one_size(training, device) == training
    assert with_stage_one_size(TrainingSettings(encoder_pairs=64), device).encoder_pairs == 64


def test_fewer_pairs_than_have_negatives_are_refused() -> None:
    with pytest.raises(ValueError, match="encoder_pairs is 4: set 8 or more"):
        TrainingSettings(encoder_pairs=4)
