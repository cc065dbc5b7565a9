"""How long stage 1 is, where the settings leave it open: what the device bears."""

from typing import Final

from pipeline_tasks.config.training_settings import TrainingSettings

_SIZES: Final = {"cpu": (40, 32), "cuda": (400, 128)}
"""Steps, and pairs in each. Amazon Beauty, six epochs, validation, seed 1: towers .0851 (with the collaborative part
.0895) by the encoder as it was published, .0870 (.0906) after 40 steps of 32, half a minute of one core, .0880 (.0917)
after 400 of 128, eleven."""


def with_stage_one_size(training: TrainingSettings, device: str) -> TrainingSettings:
    """Return the settings with `encoder_steps` and `encoder_pairs` for a device ("cpu" or "cuda") where they are 0."""
    steps, pairs = _SIZES[device]
    chosen = {"encoder_steps": training.encoder_steps or steps, "encoder_pairs": training.encoder_pairs or pairs}
    return training.model_copy(update=chosen)
