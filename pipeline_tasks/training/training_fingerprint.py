"""What a training was made from, in a few digests: a checkpoint goes on only where all of them are the same."""

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
"""What it is about, in words -> its digest or value."""


def training_fingerprint(
    log: Interactions, raw_texts: Floats, options: FitOptions, task: RankingTask | None, **more: object
) -> Fingerprint:
    """Return the fingerprint of stage 2; `task` is what its epochs are chosen by, `more` whatever else must agree."""
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
    """Return the versions that decide what is computed.

    All of pipeline_tasks: a list of the files that matter would have to be kept by somebody, and a training that was
    cut short goes on minutes later with the same code.
    """
    found = hashlib.sha256()
    library = Path(__file__).parents[1]
    for file in sorted(library.rglob("*.py")):
        found.update(file.relative_to(library).as_posix().encode())
        found.update(file.read_bytes())
    return {"code": found.hexdigest(), "torch": torch.__version__}


def differences(found: Fingerprint, wanted: Fingerprint) -> list[str]:
    """Return what is not the same, in words."""
    return sorted(name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name))


def _arrays(log: Interactions) -> list[np.ndarray[Any, Any]]:
    events = [log.offsets, log.items, log.types, log.times]
    if log.queries is not None:
        events += [log.queries.led, log.queries.last, _bytes(log.queries.texts)]
    return events if log.attributes is None else [*events, _bytes(log.attributes)]


def _bytes(texts: Sequence[str | None]) -> np.ndarray[Any, Any]:
    return np.frombuffer(json.dumps(texts).encode(), dtype=np.uint8)
