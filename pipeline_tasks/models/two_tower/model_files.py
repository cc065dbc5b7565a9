"""The two-tower model as `save_pretrained` wrote it: whole, or refused."""

from pathlib import Path
from typing import Any, Final, cast

from pipeline_tasks.models.two_tower.two_tower import TwoTower

_FORMER_NAMES: Final = {r"^(enter|blocks|trend_weights)\.": r"members.0.\1."}
"""Of weights in folders that were written before 2026-11-28, when there was one member."""
_ODD: Final = ("missing_keys", "unexpected_keys", "mismatched_keys")


class ModelFilesError(ValueError):
    """A folder's weights are not those of its model."""


def load_model(folder: Path) -> TwoTower:
    """Read a model that `save_pretrained` wrote.

    Raises:
        ModelFilesError: the weights are not those of the model that config.json describes.
    """
    loaded: Any = TwoTower.from_pretrained(folder, output_loading_info=True, key_mapping=_FORMER_NAMES)
    model, told = loaded
    # transformers fills up what is missing with random numbers, and says so in a warning.
    if odd := sorted(str(name) for kind in _ODD for name in told[kind]):
        raise ModelFilesError(
            f"the weights in {folder} are not those of its config.json: {', '.join(odd[:3])}, {len(odd)} in all; they "
            "are damaged or of a version that this one does not read: train anew (nightshelf run), or register a "
            "version whose files are whole"
        )
    return cast(TwoTower, model)
