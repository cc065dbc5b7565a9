"""The scorer of own items as two files: reading it runs nobody's code."""

import json
from pathlib import Path

import numpy as np

from pipeline_tasks.models.repeat_model import RepeatModel


def save_repeat_model(own: RepeatModel, folder: Path) -> None:
    """Write own.json and levels.npy into `folder`."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "levels.npy", own.levels)
    about = {name: getattr(own, name) for name in ("types", "unless", "span", "moment", "scale", "offset")}
    (folder / "own.json").write_text(json.dumps(about | {"weights": own.weights.tolist()}, indent=1))


def load_repeat_model(folder: Path) -> RepeatModel | None:
    """Read what `save_repeat_model` wrote; None where there is no such folder."""
    if not folder.is_dir():
        return None
    about = json.loads((folder / "own.json").read_text())
    weights = np.array(about.pop("weights"), dtype=np.float32)
    about |= {name: tuple(about[name]) for name in ("types", "unless")}
    return RepeatModel(**about, weights=weights, levels=np.load(folder / "levels.npy", allow_pickle=False))
