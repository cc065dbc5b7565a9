"""Checkpoints of a training after each epoch, and the fingerprint of its inputs that decides whether one is resumed.

Weights, optimizer state and the weights of the best epoch are safetensors. All else is JSON in the file's header, so
reading a checkpoint executes no code. It needs no random state, because every epoch is seeded by seed and epoch.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.evaluation.ranking_task import RankingTask
from pipeline_tasks.training.best_epoch import BestEpoch
from pipeline_tasks.training.fit_options import FitOptions
from pipeline_tasks.training.fit_two_tower import TwoTowerTrainer, tensors_of

Fingerprint = dict[str, str]
"""Name of an input -> its digest or value."""


def training_fingerprint(
    log: Interactions, raw_texts: Floats, options: FitOptions, task: RankingTask | None, **more: object
) -> Fingerprint:
    """Return the fingerprint of stage 2; `task` chooses its epochs, and `more` holds other values to compare."""
    held_out = [] if task is None else [*_arrays(task.histories), task.relevant.indptr, task.relevant.indices]
    masked = [] if task is None else [task.masked.indptr, task.masked.indices]
    return {
        "training events": digest(_arrays(log)),
        "text vectors": digest([raw_texts]),
        "validation": digest([*held_out, *masked]),
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


@dataclass(frozen=True)
class TrainingCheckpoint:
    """A checkpoint file, and the fingerprint of the training that may resume from it."""

    path: Path
    fingerprint: Fingerprint

    def write(self, trainer: TwoTowerTrainer, best: BestEpoch | None = None) -> None:
        """Replace the file atomically by the current state; a process killed meanwhile leaves the earlier file."""
        tensors, progress = trainer.state()
        about: dict[str, Any] = {"fingerprint": self.fingerprint, "trainer": progress}
        if best is not None:
            weights, about["best"] = best.state()
            # Best weights equal to the current ones are stored once. Averaged weights always differ from the current.
            if best.epoch < trainer.epoch or trainer.average:
                tensors |= _under("best", weights)
        write_tensors(self.path, tensors, about)

    def resume(self, trainer: TwoTowerTrainer, best: BestEpoch | None = None) -> bool:
        """Restore trainer and best epoch if the file belongs to this training; print and return whether it does."""
        about = self._matching()
        if about is None:
            return False
        tensors, progress = read_training(self.path)
        trainer.restore(tensors, progress)
        if best is not None:
            source = "best" if has_best_weights(tensors) else "model"
            best.restore(trainer.recommender, tensors_of(source, tensors), about["best"])
        print(f"resuming after epoch {trainer.epoch} from the checkpoint {self.path}", flush=True)
        return True

    def _matching(self) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                about: dict[str, Any] = json.loads(file.metadata()["nightshelf"])
        except (SafetensorError, OSError, KeyError, TypeError) as error:
            print(f"the checkpoint {self.path} cannot be read ({error}): training from the start", flush=True)
            return None
        other = differences(about["fingerprint"], self.fingerprint)
        if other:
            print(
                f"the checkpoint {self.path} is not used, because it differs in {', '.join(other)}: "
                "training from the start",
                flush=True,
            )
            return None
        return about


def read_training(path: Path) -> tuple[dict[str, Tensor], dict[str, int]]:
    """Return all tensors of a checkpoint, and the progress of its training."""
    with safe_open(path, framework="pt") as file:
        progress: dict[str, int] = json.loads(file.metadata()["nightshelf"])["trainer"]
        return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write a safetensors file with JSON in its header, atomically even if the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(ready, new, metadata={"nightshelf": json.dumps(about)})
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(path)


def has_best_weights(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether the checkpoint stores the weights of the best epoch separately."""
    return any(name.startswith("best.") for name in tensors)


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}
