"""How long stage 1 is, where the settings leave it open: what the device bears."""

from typing import Final, NamedTuple

from pipeline_tasks.training_settings import TrainingSettings


class StageOneSize(NamedTuple):
    """Steps, and pairs of texts in each."""

    steps: int
    pairs: int


_SIZES: Final = {"cpu": StageOneSize(40, 32), "cuda": StageOneSize(400, 128)}
"""Amazon Beauty, six epochs, validation, seed 1: towers .0851 (with the collaborative part .0895) by the encoder as it
was published, .0870 (.0906) after 40 steps of 32, half a minute of one core, .0880 (.0917) after 400 of 128, eleven."""


def stage_one_size(training: TrainingSettings, device: str) -> StageOneSize:
    """Return the size for a device ("cpu" or "cuda"); what is set in `training` is kept."""
    chosen = _SIZES[device]
    return StageOneSize(training.encoder_steps or chosen.steps, training.encoder_pairs or chosen.pairs)
