"""Stage 1 of a candidate: the vectors of the catalog's texts and of the log's queries.

The vectors are kept until the candidate is finished. A training that was interrupted in stage 2 does not repeat stage
1: on a GPU, sums differ slightly between runs, and the checkpoint of stage 2 belongs to exactly these vectors.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pipeline_tasks.config.training_settings import CandidateName, TrainingSettings
from pipeline_tasks.data.interactions import Floats, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog
from pipeline_tasks.data.run_data import RunData
from pipeline_tasks.encoders.text_encoder import load_encoder
from pipeline_tasks.lake.files import write_atomically
from pipeline_tasks.models.two_tower.item_content import text_block
from pipeline_tasks.models.two_tower.user_inputs import frequent_queries
from pipeline_tasks.training.best_epoch import EpochCallback
from pipeline_tasks.training.training_checkpoint import Fingerprint, digest, log_digest, software

_STOPPED = "stopped"
_ENCODER_SCHEDULES: Final = {"cpu": (40, 32), "cuda": (400, 128)}
"""Device -> steps of stage 1, and pairs in each. Amazon Beauty, six epochs, validation NDCG@10 of the towers (with the
item-to-item part), seed 1: .0851 (.0895) without stage 1; .0870 (.0906) on a CPU, half a minute of one core; .0880
(.0917) with the schedule of a GPU, eleven minutes of one core."""


@dataclass(frozen=True)
class EncodedCatalog:
    """The result of stage 1."""

    vectors: Floats
    """(texts, width): `text_block` of the catalog's texts, then of `queries_to_encode`."""
    adapter: Path | None
    """Folder of the tuned weights of the encoder; None if the encoder is used as published."""
    stopped: str | None = None
    """Why stage 1 stopped early; None if it did not."""


def encode_catalog(
    data: RunData,
    log: Interactions,
    name: CandidateName,
    training: TrainingSettings,
    *,
    work: Path,
    device: str,
    on_metrics: EpochCallback,
) -> EncodedCatalog:
    """Return the vectors of the catalog's texts and of `queries_to_encode` by the candidate's encoder.

    Vectors of an earlier attempt in `work` are reused if they were made from the same events, texts and settings.
    """
    vectors, described = work / "raw_texts.npy", work / "raw_texts.json"
    # Without a single text there is nothing to tune, and every candidate equals the frozen one.
    folder = None if name == "frozen" or not any(data.catalog.texts) else work / "adapter"
    training = with_encoder_schedule(training, device)
    wanted = _fingerprint(data, log, name, training)
    before = json.loads(described.read_text()) if described.exists() else {}
    stopped = before.pop(_STOPPED, None)
    if before == wanted:
        print(f"reusing the text vectors of an earlier attempt: {vectors}", flush=True)
        return EncodedCatalog(np.load(vectors, allow_pickle=False), folder, stopped)
    described.unlink(missing_ok=True)
    raw_texts, stopped = _encode(data, log, name, training, folder=folder, device=device, on_metrics=on_metrics)
    work.mkdir(parents=True, exist_ok=True)
    np.save(vectors, raw_texts)
    # Written last and atomically: vectors without this file are ignored.
    write_atomically(described, json.dumps({**wanted, _STOPPED: stopped}))
    return EncodedCatalog(raw_texts, folder, stopped)


def with_encoder_schedule(training: TrainingSettings, device: str) -> TrainingSettings:
    """Return the settings with `encoder_steps` and `encoder_pairs` for a device ("cpu" or "cuda") where they are 0."""
    steps, pairs = _ENCODER_SCHEDULES[device]
    chosen = {"encoder_steps": training.encoder_steps or steps, "encoder_pairs": training.encoder_pairs or pairs}
    return training.model_copy(update=chosen)


def _encode(
    data: RunData,
    log: Interactions,
    name: CandidateName,
    training: TrainingSettings,
    *,
    folder: Path | None,
    device: str,
    on_metrics: EpochCallback,
) -> tuple[Floats, str | None]:
    encoder = load_encoder(training.encoder, device)
    texts = [*data.catalog.texts, *queries_to_encode(data.catalog, log, training)]
    if name == "frozen" or folder is None:
        return text_block(encoder, texts), None
    # Imported here because it loads peft (two seconds), which a frozen encoder does not need.
    from pipeline_tasks.encoders.adapt_encoder import AdaptOptions, QueriedItems, adapt_encoder

    shutil.rmtree(folder, ignore_errors=True)
    options = AdaptOptions(
        name, training.encoder_layers, training.encoder_steps, training.encoder_pairs, seed=training.seed
    )
    tuned = adapt_encoder(
        encoder,
        log,
        data.catalog.texts,
        options,
        folder=folder,
        after_step=lambda step, loss: on_metrics({"encoder_loss": loss}, step),
        queried=QueriedItems(log.queries.words, log.items) if log.queries is not None else None,
    )
    return text_block(tuned.encoder, texts), tuned.stopped


def queries_to_encode(catalog: ItemCatalog, log: Interactions, training: TrainingSettings) -> list[str]:
    """Return the queries of `log` to encode; none if no item has a text that a query could match."""
    return frequent_queries(log)[0] if training.read_queries and any(catalog.texts) else []


def _fingerprint(data: RunData, log: Interactions, name: CandidateName, training: TrainingSettings) -> Fingerprint:
    texts = np.frombuffer("\0".join(data.catalog.texts).encode(), dtype=np.uint8)
    return {
        "events": log_digest(log),
        "texts": digest([texts]),
        "settings": f"{name} {training.encoder} {training.encoder_layers} {training.encoder_steps} "
        f"{training.encoder_pairs} {training.seed} {training.read_queries}",
        "encoder": _file_versions(training.encoder),
        **software(),
    }


def _file_versions(encoder: str) -> str:
    """Return sizes and times of the encoder's files if it is a folder, as weights may change under one path."""
    folder = Path(encoder)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return " ".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in found)
