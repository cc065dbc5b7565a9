"""Vectors of the catalog's texts and the log's queries for one candidate: stage 1 where it has one, kept until the
candidate is finished.

A training that was cut short in stage 2 does not repeat stage 1: on a GPU its sums come out a little different every
time, and the checkpoint of stage 2 is of these very vectors.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline_tasks.candidates.encoder_schedule import with_stage_one_size
from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.encoders.text_encoder import load_encoder
from pipeline_tasks.lake.atomic_write import write_atomically
from pipeline_tasks.models.two_tower.item_content import text_block
from pipeline_tasks.models.two_tower.user_content import most_asked
from pipeline_tasks.training.best_epoch import Listener
from pipeline_tasks.training.training_fingerprint import Fingerprint, digest, log_digest, software

_STOPPED = "stopped"


@dataclass(frozen=True)
class EncodedCatalog:
    """What stage 1 hands to stage 2."""

    vectors: Floats
    """`text_block` of the catalog's texts, and then of `queries_read`."""
    adapter: Path | None
    """Folder of what was tuned of the encoder; None where it is as published."""
    stopped: str | None = None
    """What ended stage 1 before its time; None for nothing."""


def encode_catalog(
    data: RunData,
    known: Interactions,
    name: CandidateName,
    training: TrainingSettings,
    *,
    work: Path,
    device: str,
    hear: Listener,
) -> EncodedCatalog:
    """Return the vectors of the catalog's texts and of `queries_read` by the candidate's encoder.

    What `work` holds of an earlier run is taken where it was made from the same events, texts and settings.
    """
    vectors, described = work / "raw_texts.npy", work / "raw_texts.json"
    # Without a single text there is nothing to tune, and a candidate of its own is the frozen one again.
    folder = None if name == "frozen" or not any(data.catalog.texts) else work / "adapter"
    training = with_stage_one_size(training, device)
    wanted = _fingerprint(data, known, name, training)
    before = json.loads(described.read_text()) if described.exists() else {}
    stopped = before.pop(_STOPPED, None)
    if before == wanted:
        print(f"text vectors of the run before are taken: {vectors}", flush=True)
        return EncodedCatalog(np.load(vectors, allow_pickle=False), folder, stopped)
    described.unlink(missing_ok=True)
    raw_texts, stopped = _encode(data, known, name, training, folder=folder, device=device, hear=hear)
    work.mkdir(parents=True, exist_ok=True)
    np.save(vectors, raw_texts)
    # Last, and at once: without it, the vectors do not count.
    write_atomically(described, json.dumps({**wanted, _STOPPED: stopped}))
    return EncodedCatalog(raw_texts, folder, stopped)


def _encode(
    data: RunData,
    known: Interactions,
    name: CandidateName,
    training: TrainingSettings,
    *,
    folder: Path | None,
    device: str,
    hear: Listener,
) -> tuple[Floats, str | None]:
    encoder = load_encoder(training.encoder, device)
    texts = [*data.catalog.texts, *queries_read(data.catalog, known, training)]
    if name == "frozen" or folder is None:
        return text_block(encoder, texts), None
    # Here, as it loads peft: two seconds that a frozen encoder can do without.
    from pipeline_tasks.encoders.adapt_encoder import AdaptOptions, AskedItems, adapt_encoder

    shutil.rmtree(folder, ignore_errors=True)
    options = AdaptOptions(
        name, training.encoder_layers, training.encoder_steps, training.encoder_pairs, seed=training.seed
    )
    tuned = adapt_encoder(
        encoder,
        known,
        data.catalog.texts,
        options,
        folder=folder,
        after_step=lambda step, loss: hear({"encoder_loss": loss}, step),
        asked=AskedItems(known.queries.words, known.items) if known.queries is not None else None,
    )
    return text_block(tuned.encoder, texts), tuned.stopped


def queries_read(catalog: ItemCatalog, known: Interactions, training: TrainingSettings) -> list[str]:
    """Return the queries of `known` that are encoded; none where no item has a text that they could be near to."""
    return most_asked(known)[0] if training.read_queries and any(catalog.texts) else []


def _fingerprint(data: RunData, known: Interactions, name: CandidateName, training: TrainingSettings) -> Fingerprint:
    texts = np.frombuffer("\0".join(data.catalog.texts).encode(), dtype=np.uint8)
    return {
        "events": log_digest(known),
        "texts": digest([texts]),
        "settings": f"{name} {training.encoder} {training.encoder_layers} {training.encoder_steps} "
        f"{training.encoder_pairs} {training.seed} {training.read_queries}",
        "encoder": _files_of(training.encoder),
        **software(),
    }


def _files_of(encoder: str) -> str:
    """Sizes and times of an encoder's own files, where it is a folder: weights may change under one path."""
    folder = Path(encoder)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return " ".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in found)
