"""The scorer of own items as two files: reading it runs nobody's code."""

import json
from pathlib import Path

import numpy as np

from pipeline_tasks.collaborative.own_history import OwnHistory


def save_own_history(own: OwnHistory, folder: Path) -> None:
    """Write own.json and levels.npy into `folder`."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "levels.npy", own.levels)
    about = {name: getattr(own, name) for name in ("types", "unless", "span", "moment", "scale", "offset")}
    (folder / "own.json").write_text(json.dumps(about | {"weights": own.weights.tolist()}, indent=1))


def load_own_history(folder: Path) -> OwnHistory | None:
    """Read what `save_own_history` wrote; None where there is no such folder."""
    if not folder.is_dir():
        return None
    about = json.loads((folder / "own.json").read_text())
    weights = np.array(about.pop("weights"), dtype=np.float32)
    about |= {name: tuple(about[name]) for name in ("types", "unless")}
    return OwnHistory(**about, weights=weights, levels=np.load(folder / "levels.npy", allow_pickle=False))
