"""NDCG@10 of every user whom a scorer was asked about, kept beside its figures: what paired tests compare.

Most users of leave-one-out have 0, so a file of 22,363 of them is some 10 kB.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline_tasks.evaluation.metrics import Reals
from tests.benchmarks.side_by_side import RESULTS

Values = Mapping[str, Reals]
"""Goal -> (users,) in the order of the set's keys."""
_FOLDER: Final = RESULTS / "quality" / "values"


def keep_values(name: str, commit: str, values: Values) -> None:
    """Write the values of the fit called `name`, in place of earlier ones."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # float32: no person reads the file, and a sum of 22,363 values keeps six digits.
    arrays = {goal: own.astype(np.float32) for goal, own in values.items()}
    np.savez_compressed(_FOLDER / f"{name}.npz", allow_pickle=False, commit=np.array(commit), **arrays)


def read_values(name: str, commit: str, goal: str) -> Reals | None:
    """Return (users,), or None where the fit of that commit kept none."""
    path = _FOLDER / f"{name}.npz"
    if not path.exists():
        return None
    with np.load(path) as kept:
        return kept[goal].astype(np.float64) if str(kept["commit"]) == commit and goal in kept else None


def mean_values(each: Sequence[Reals | None]) -> Reals | None:
    """Return (users,) the mean over seeds; None where one of them kept nothing."""
    found = [own for own in each if own is not None]
    return np.mean(found, axis=0) if found and len(found) == len(each) else None
