"""The fingerprint of a training: digests of all its inputs. A checkpoint is resumed only if all of them are equal."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.training.fit_options import FitOptions

Fingerprint = dict[str, str]
"""Name of an input -> its digest or value."""


def training_fingerprint(
    log: Interactions, raw_texts: Floats, options: FitOptions, task: RankingTask | None, **more: object
) -> Fingerprint:
    """Return the fingerprint of stage 2; `task` chooses its epochs, and `more` holds other values to compare."""
    judged = [] if task is None else [*_arrays(task.histories), task.relevant.indptr, task.relevant.indices]
    masked = [] if task is None else [task.masked.indptr, task.masked.indices]
    return {
        "training events": digest(_arrays(log)),
        "text vectors": digest([raw_texts]),
        "validation": digest([*judged, *masked]),
        "options": json.dumps(asdict(options)),
        **software(),
        **{name: str(value) for name, value in more.items()},
    }


def log_digest(log: Interactions) -> str:
    """Return one digest of all events of a log."""
    return digest(_arrays(log))


def digest(arrays: Iterable[np.ndarray[Any, Any]]) -> str:
    """Return the sha256 of shapes and bytes; 1 GB takes about a second."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).view(np.uint8).data)
    return found.hexdigest()


@lru_cache(maxsize=1)
def software() -> Fingerprint:
    """Return the digest of the code and the version of torch.

    The code is all of pipeline_tasks, as a list of relevant files would need maintenance. An interrupted training
    usually resumes within minutes, with the same code.
    """
    found = hashlib.sha256()
    library = Path(__file__).parents[1]
    for file in sorted(library.rglob("*.py")):
        found.update(file.relative_to(library).as_posix().encode())
        found.update(file.read_bytes())
    return {"code": found.hexdigest(), "torch": torch.__version__}


def differences(found: Fingerprint, wanted: Fingerprint) -> list[str]:
    """Return the sorted names of the inputs that differ."""
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def _arrays(log: Interactions) -> list[np.ndarray[Any, Any]]:
    events = [log.offsets, log.items, log.types, log.times]
    if log.queries is not None:
        events += [log.queries.led, log.queries.last, _bytes(log.queries.texts)]
    return events if log.attributes is None else [*events, _bytes(log.attributes)]


def _bytes(texts: Sequence[str | None]) -> np.ndarray[Any, Any]:
    return np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8)
