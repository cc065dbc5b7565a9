"""A recommender as a folder: weights, catalog with its content, what encodes content, and how it was made.

Everything is safetensors, Parquet, .npy or JSON: reading a model runs nobody's code.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog, load_catalog, save_catalog
from pipeline_tasks.encoders.image_encoder import image_block, load_image_encoder
from pipeline_tasks.models.two_tower.item_content import ContentEncoders, join_blocks, recall_block
from pipeline_tasks.models.two_tower.item_vocabulary import ItemVocabulary
from pipeline_tasks.models.two_tower.model_files import load_model
from pipeline_tasks.models.two_tower.saved_repeat_model import load_repeat_model, save_repeat_model
from pipeline_tasks.models.two_tower.saved_users import load_users, save_users
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender


@dataclass
class SavedRecommender:
    """A fitted recommender with the catalog it was fitted on and the encoder behind its texts."""

    recommender: TwoTowerRecommender
    catalog: ItemCatalog
    raw_texts: Floats
    """(items, raw width) of the catalog's texts and pictures, side by side (see item_content)."""
    encoders: ContentEncoders
    facts: dict[str, Any]
    """How it was made: split_id, ds, epochs, seed, …"""

    def save(self, folder: Path) -> None:
        """Write the folder, which must be new or empty."""
        folder.mkdir(parents=True, exist_ok=True)
        self.recommender.model.save_pretrained(folder / "two_tower")
        save_catalog(self.catalog, self.recommender.rows.cpu().numpy(), folder / "items.parquet")
        (folder / "vocabulary.json").write_text(json.dumps(self.encoders.vocabulary.values, indent=0))
        np.save(folder / "raw_texts.npy", self.raw_texts)
        np.save(folder / "trends.npy", self.recommender.trends)
        save_users(self.recommender.users, folder / "shoppers")
        for fitted, name in ((self.recommender.own, "own_history"), (self.recommender.looked_at, "looked_at")):
            if fitted is not None:
                save_repeat_model(fitted, folder / name)
        about = {
            "name": self.recommender.name,
            "encoder": self.encoders.text,
            "image_encoder": self.encoders.image,
            "evidence": asdict(self.recommender.evidence),
            "moment": self.recommender.moment,
            "facts": self.facts,
        }
        (folder / "recommender.json").write_text(json.dumps(about, indent=1))
        if self.encoders.adapter is not None:
            target = folder / "adapter"
            target.mkdir(exist_ok=True)
            for file in self.encoders.adapter.iterdir():
                (target / file.name).write_bytes(file.read_bytes())

    def for_catalog(self, catalog: ItemCatalog, known: Interactions) -> TwoTowerRecommender:
        """Return the recommender over another day's catalog, with the trends after the last event of `known`.

        Items that the model has an id for keep it; the others, new since training, are described by their content.
        """
        places = {item_id: place for place, item_id in enumerate(self.catalog.item_ids)}
        rows = self.recommender.rows.cpu().numpy()
        id_rows = np.array([rows[places[i]] if i in places else -1 for i in catalog.item_ids], dtype=np.int64)
        raw = torch.from_numpy(self._raw_vectors(catalog)).to(self.recommender.model.device)
        texts = self.recommender.model.whiten(raw)
        values = torch.from_numpy(self.encoders.vocabulary.numbers(catalog.values))
        recommender = replace(self.recommender, texts=texts, values=values, rows=torch.from_numpy(id_rows))
        return self.knowing(recommender, known).at(known)

    def knowing(self, recommender: TwoTowerRecommender, log: Interactions) -> TwoTowerRecommender:
        """Return the recommender with vectors of what was typed in `log`, where the model reads it."""
        return recommender.knowing(log, lambda new: self.encoders.open_text(self._device).encode(new))

    def text_vectors(self, texts: list[str]) -> Floats:
        """Return (n, text width) of texts, NaN where one is empty; those of the catalog are not encoded again."""
        return recall_block(
            texts,
            self.catalog.texts,
            self.raw_texts[:, : self.widths[0]],
            lambda new: self.encoders.open_text(self._device).encode(new),
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the blocks of `raw_texts`."""
        return tuple(self.facts["options"]["content_blocks"])

    def _raw_vectors(self, catalog: ItemCatalog) -> Floats:
        encoders, center = self.encoders, self.recommender.model.whitening_center.float().cpu().numpy()
        blocks = [self.text_vectors(catalog.texts)]
        if encoders.image:
            known = self.raw_texts[:, -self.widths[-1] :]
            blocks.append(recall_block(catalog.images, self.catalog.images, known, self._encode_pictures))
        return join_blocks(blocks, center)

    def _encode_pictures(self, new: list[str]) -> Floats:
        return image_block(load_image_encoder(self.encoders.image, self._device), new)

    @property
    def _device(self) -> str:
        return str(self.recommender.model.device)


def load_recommender(folder: Path) -> SavedRecommender:
    """Read a folder that `save` wrote.

    Raises:
        FileNotFoundError: a part of it is missing.
        ModelFilesError: its weights are not those of the model that its config describes.
    """
    about = json.loads((folder / "recommender.json").read_text())
    catalog, id_rows = load_catalog(folder / "items.parquet")
    raw_texts = np.load(folder / "raw_texts.npy", allow_pickle=False)
    vocabulary = ItemVocabulary(json.loads((folder / "vocabulary.json").read_text()))
    model = load_model(folder / "two_tower")
    torch.nn.Module.to(model.train(False), "cuda" if torch.cuda.is_available() else "cpu")
    recommender = TwoTowerRecommender(
        about["name"],
        model,
        model.whiten(torch.from_numpy(raw_texts).to(model.device)),
        torch.from_numpy(id_rows),
        torch.from_numpy(vocabulary.numbers(catalog.values)),
        np.load(folder / "trends.npy", allow_pickle=False),
        DataExtent(**about["evidence"]),
        about["moment"],
        load_repeat_model(folder / "own_history"),
        load_repeat_model(folder / "looked_at"),
        load_users(folder / "shoppers"),
    )
    adapter = folder / "adapter" if (folder / "adapter").is_dir() else None
    encoders = ContentEncoders(about["encoder"], adapter, vocabulary, about["image_encoder"])
    return SavedRecommender(recommender, catalog, raw_texts, encoders, about["facts"])
