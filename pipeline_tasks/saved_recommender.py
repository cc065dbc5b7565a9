"""A recommender as a folder: weights, catalog, text vectors, adapter of the encoder, and how it was made.

Everything is safetensors, Parquet, .npy or JSON: reading a model runs nobody's code.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from pipeline_tasks.interactions import Evidence, Floats, Interactions
from pipeline_tasks.item_catalog import ItemCatalog
from pipeline_tasks.saved_own_history import load_own_history, save_own_history
from pipeline_tasks.trainable_encoder import open_encoder
from pipeline_tasks.two_tower import TwoTower
from pipeline_tasks.two_tower_recommender import TwoTowerRecommender


@dataclass
class SavedRecommender:
    """A fitted recommender with the catalog it was fitted on and the encoder behind its texts."""

    recommender: TwoTowerRecommender
    catalog: ItemCatalog
    raw_texts: Floats
    """(items, raw text width) of the catalog's texts."""
    encoder: str
    adapter: Path | None
    """Folder of what was tuned of the encoder (a LoRA adapter, or all of it); None where it is as published."""
    facts: dict[str, Any]
    """How it was made: split_id, ds, epochs, seed, …"""

    def save(self, folder: Path) -> None:
        """Write the folder, which must be new or empty."""
        folder.mkdir(parents=True, exist_ok=True)
        self.recommender.model.save_pretrained(folder / "two_tower")
        columns = {"item_id": self.catalog.item_ids, "text": self.catalog.texts}
        pq.write_table(pa.table({**columns, "id_row": self.recommender.rows.cpu().numpy()}), folder / "items.parquet")
        np.save(folder / "raw_texts.npy", self.raw_texts)
        np.save(folder / "trends.npy", self.recommender.trends)
        if self.recommender.own is not None:
            save_own_history(self.recommender.own, folder / "own_history")
        about = {
            "name": self.recommender.name,
            "encoder": self.encoder,
            "evidence": asdict(self.recommender.evidence),
            "moment": self.recommender.moment,
            "facts": self.facts,
        }
        (folder / "recommender.json").write_text(json.dumps(about, indent=1))
        if self.adapter is not None:
            target = folder / "adapter"
            target.mkdir(exist_ok=True)
            for file in self.adapter.iterdir():
                (target / file.name).write_bytes(file.read_bytes())

    def for_catalog(self, catalog: ItemCatalog, known: Interactions) -> TwoTowerRecommender:
        """Return the recommender over another day's catalog, with the trends after the last event of `known`.

        Items that the model has an id for keep it; the others, new since training, are described by their text.
        """
        places = {item_id: place for place, item_id in enumerate(self.catalog.item_ids)}
        rows = self.recommender.rows.cpu().numpy()
        id_rows = np.array([rows[places[i]] if i in places else -1 for i in catalog.item_ids], dtype=np.int64)
        texts = self.recommender.model.whiten(
            torch.from_numpy(self._raw_vectors(catalog)).to(self.recommender.model.device)
        )
        return replace(self.recommender, texts=texts, rows=torch.from_numpy(id_rows)).at(known)

    def _raw_vectors(self, catalog: ItemCatalog) -> Floats:
        known = {text: place for place, text in enumerate(self.catalog.texts)}
        new = sorted({text for text in catalog.texts if text not in known})
        vectors = self.raw_texts
        if new:
            encoder = open_encoder(self.encoder, self.adapter, str(self.recommender.model.device))
            known.update({text: len(vectors) + number for number, text in enumerate(new)})
            vectors = np.concatenate([vectors, encoder.encode(new)])
        return np.asarray(vectors[[known[text] for text in catalog.texts]], dtype=np.float32)


def load_recommender(folder: Path) -> SavedRecommender:
    """Read a folder that `save` wrote. Raises FileNotFoundError where a part of it is missing."""
    about = json.loads((folder / "recommender.json").read_text())
    items = pq.read_table(folder / "items.parquet")
    raw_texts = np.load(folder / "raw_texts.npy", allow_pickle=False)
    model: TwoTower = TwoTower.from_pretrained(folder / "two_tower")
    torch.nn.Module.to(model.train(False), "cuda" if torch.cuda.is_available() else "cpu")
    recommender = TwoTowerRecommender(
        about["name"],
        model,
        model.whiten(torch.from_numpy(raw_texts).to(model.device)),
        torch.from_numpy(items["id_row"].to_numpy().astype(np.int64)),
        np.load(folder / "trends.npy", allow_pickle=False),
        Evidence(**about["evidence"]),
        about["moment"],
        load_own_history(folder / "own_history"),
    )
    catalog = ItemCatalog(items["item_id"].to_pylist(), items["text"].to_pylist())
    adapter = folder / "adapter"
    return SavedRecommender(
        recommender, catalog, raw_texts, about["encoder"], adapter if adapter.is_dir() else None, about["facts"]
    )
