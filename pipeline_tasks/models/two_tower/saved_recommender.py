"""Saves and loads a recommender as a folder: weights, catalog with its content, encoders, and facts of its training.

All files are safetensors, Parquet, .npy or JSON, so loading a model executes no code.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import torch

from pipeline_tasks.data.interactions import DataExtent, Floats, Interactions
from pipeline_tasks.data.item_catalog import ItemCatalog, load_catalog, save_catalog
from pipeline_tasks.data.profile_values import ProfileValues
from pipeline_tasks.encoders.image_encoder import image_block, load_image_encoder
from pipeline_tasks.models.repeat_model import RepeatModel
from pipeline_tasks.models.two_tower.item_content import ContentEncoders, ItemVocabulary, join_blocks, recall_block
from pipeline_tasks.models.two_tower.tuned_weights import TunedWeights, former_tuned_weights, read_tuned_weights
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import NOTHING, QueryVectors, UserContent

_FORMER_NAMES: Final = {r"^(enter|blocks|trend_weights)\.": r"members.0.\1."}
"""Names of weights in folders written before 2026-11-28, when there was one member -> present names."""
_REPEAT_FOLDERS: Final = ("own_history", "looked_at")
"""Folders of the repeat model and of the view conversion model."""
_KEY_ERRORS: Final = ("missing_keys", "unexpected_keys", "mismatched_keys")


class ModelFilesError(ValueError):
    """The weights in a folder do not fit its config."""


@dataclass
class SavedRecommender:
    """A fitted recommender with its catalog and its encoders."""

    recommender: TwoTowerRecommender
    catalog: ItemCatalog
    raw_texts: Floats
    """(items, raw width) vectors of the catalog's texts and images, side by side (see item_content)."""
    encoders: ContentEncoders
    facts: dict[str, Any]
    """Facts of the training: split_id, ds, epochs, seed, …"""

    def save(self, folder: Path) -> None:
        """Write the folder, which must be new or empty."""
        folder.mkdir(parents=True, exist_ok=True)
        self.recommender.model.save_pretrained(folder / "two_tower")
        save_catalog(self.catalog, self.recommender.rows.cpu().numpy(), folder / "items.parquet")
        (folder / "vocabulary.json").write_text(json.dumps(self.encoders.vocabulary.values, indent=0))
        np.save(folder / "raw_texts.npy", self.raw_texts)
        np.save(folder / "trends.npy", self.recommender.trends)
        save_users(self.recommender.users, folder / "shoppers")
        for fitted, name in zip(self.recommender.repeat_models, _REPEAT_FOLDERS, strict=True):
            if fitted is not None:
                save_repeat_model(fitted, folder / name)
        about = {
            "name": self.recommender.name,
            "encoder": self.encoders.text,
            "image_encoder": self.encoders.image,
            "evidence": asdict(self.recommender.data_extent),
            "moment": self.recommender.moment,
            "tuned_weights": asdict(self.recommender.tuned),
            "facts": self.facts,
        }
        (folder / "recommender.json").write_text(json.dumps(about, indent=1))
        if self.encoders.adapter is not None:
            target = folder / "adapter"
            target.mkdir(exist_ok=True)
            for file in self.encoders.adapter.iterdir():
                (target / file.name).write_bytes(file.read_bytes())

    def for_catalog(self, catalog: ItemCatalog, known: Interactions) -> TwoTowerRecommender:
        """Return the recommender over the catalog of another day, with the trends after the last event of `known`.

        Items with an id embedding keep it; items that are new since training are described by their content.
        """
        places = {item_id: place for place, item_id in enumerate(self.catalog.item_ids)}
        rows = self.recommender.rows.cpu().numpy()
        id_rows = np.array([rows[places[i]] if i in places else -1 for i in catalog.item_ids], dtype=np.int64)
        raw = torch.from_numpy(self._raw_vectors(catalog)).to(self.recommender.model.device)
        texts = self.recommender.model.whiten(raw)
        values = torch.from_numpy(self.encoders.vocabulary.numbers(catalog.values))
        recommender = replace(self.recommender, texts=texts, values=values, rows=torch.from_numpy(id_rows))
        return self.with_queries_of(recommender, known).at(known)

    def with_queries_of(self, recommender: TwoTowerRecommender, log: Interactions) -> TwoTowerRecommender:
        """Return the recommender with vectors of the queries of `log`, if the model reads queries."""
        return recommender.with_queries_of(log, lambda new: self.encoders.open_text(self._device).encode(new))

    def text_vectors(self, texts: list[str]) -> Floats:
        """Return (n, text width) vectors, NaN for an empty text; texts of the catalog are not encoded again."""
        return recall_block(
            texts,
            self.catalog.texts,
            self.raw_texts[:, : self.widths[0]],
            lambda new: self.encoders.open_text(self._device).encode(new),
        )

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of the blocks of `raw_texts`."""
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
        FileNotFoundError: a file is missing.
        ModelFilesError: the weights do not fit the config.
    """
    about = json.loads((folder / "recommender.json").read_text())
    catalog, id_rows = load_catalog(folder / "items.parquet")
    raw_texts = np.load(folder / "raw_texts.npy", allow_pickle=False)
    vocabulary = ItemVocabulary(json.loads((folder / "vocabulary.json").read_text()))
    model = load_model(folder / "two_tower")
    torch.nn.Module.to(model.train(False), "cuda" if torch.cuda.is_available() else "cpu")
    repeats, views = (load_repeat_model(folder / name) for name in _REPEAT_FOLDERS)
    recommender = TwoTowerRecommender(
        about["name"],
        model,
        model.whiten(torch.from_numpy(raw_texts).to(model.device)),
        torch.from_numpy(id_rows),
        torch.from_numpy(vocabulary.numbers(catalog.values)),
        np.load(folder / "trends.npy", allow_pickle=False),
        DataExtent(**about["evidence"]),
        about["moment"],
        repeats,
        views,
        load_users(folder / "shoppers"),
        _tuned_weights(folder, about),
    )
    adapter = folder / "adapter" if (folder / "adapter").is_dir() else None
    encoders = ContentEncoders(about["encoder"], adapter, vocabulary, about["image_encoder"])
    return SavedRecommender(recommender, catalog, raw_texts, encoders, about["facts"])


def _tuned_weights(folder: Path, about: dict[str, Any]) -> TunedWeights:
    if "tuned_weights" in about:
        return read_tuned_weights(about["tuned_weights"])
    return former_tuned_weights(json.loads((folder / "two_tower" / "config.json").read_text()))


def load_model(folder: Path) -> TwoTower:
    """Read a model that `save_pretrained` wrote.

    Raises:
        ModelFilesError: the weights do not fit config.json.
    """
    loaded: Any = TwoTower.from_pretrained(folder, output_loading_info=True, key_mapping=_FORMER_NAMES)
    model, info = loaded
    # transformers fills missing weights with random numbers, and only warns.
    if wrong := sorted(str(name) for kind in _KEY_ERRORS for name in info[kind]):
        raise ModelFilesError(
            f"the weights in {folder} do not fit its config.json: {', '.join(wrong[:3])}, {len(wrong)} in all; they "
            "are damaged, or of a version that this one cannot read: train again (nightshelf run), or register a "
            "version with intact files"
        )
    return cast(TwoTower, model)


def save_repeat_model(fitted: RepeatModel, folder: Path) -> None:
    """Write the model as own.json and levels.npy into `folder`."""
    folder.mkdir(exist_ok=True)
    np.save(folder / "levels.npy", fitted.levels)
    about = {name: getattr(fitted, name) for name in ("types", "unless", "span", "moment", "scale", "offset")}
    (folder / "own.json").write_text(json.dumps(about | {"weights": fitted.weights.tolist()}, indent=1))


def load_repeat_model(folder: Path) -> RepeatModel | None:
    """Read what `save_repeat_model` wrote; None if there is no such folder."""
    if not folder.is_dir():
        return None
    about = json.loads((folder / "own.json").read_text())
    weights = np.array(about.pop("weights"), dtype=np.float32)
    about |= {name: tuple(about[name]) for name in ("types", "unless")}
    return RepeatModel(**about, weights=weights, levels=np.load(folder / "levels.npy", allow_pickle=False))


def save_users(content: UserContent, folder: Path) -> None:
    """Write profile.json, queries.json and query_vectors.npy into `folder`, if the model reads profiles or queries.

    The files hold no user, and no rare query.
    """
    if not (len(content.profile) or content.queries.are_used):
        return
    folder.mkdir(exist_ok=True)
    about = {"pairs": content.profile.pairs, "edges": content.profile.edges}
    (folder / "profile.json").write_text(json.dumps(about, indent=1))
    kept = content.queries.kept()
    (folder / "queries.json").write_text(json.dumps(kept.texts, indent=0))
    np.save(folder / "query_vectors.npy", kept.raw)


def load_users(folder: Path) -> UserContent:
    """Read what `save_users` wrote; NOTHING if there is no such folder."""
    if not folder.is_dir():
        return NOTHING
    profile = ProfileValues(**json.loads((folder / "profile.json").read_text()))
    texts = json.loads((folder / "queries.json").read_text())
    raw = np.load(folder / "query_vectors.npy", allow_pickle=False)
    return UserContent(profile, QueryVectors(texts, raw, np.ones(len(texts), dtype=np.bool_)))
