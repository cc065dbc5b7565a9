"""Builds an untrained two-tower model for a log and its catalog: its shape, and the parts that are not learned."""

import math
from dataclasses import fields

import numpy as np
import torch

from pipeline_tasks.config.training_settings import NEXT_ITEM
from pipeline_tasks.data.interactions import Floats, Integers, Interactions
from pipeline_tasks.data.item_cooccurrence import id_factors
from pipeline_tasks.data.popularity_features import choose_horizons
from pipeline_tasks.encoders.whitening import fit_block_whitening
from pipeline_tasks.models.item_to_item import ItemToItemRecipe, fit_item_to_item, half_life
from pipeline_tasks.models.repeat_model import RepeatData, fit_repeat_model, fit_view_conversion
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.two_tower_config import ModelShape, TwoTowerConfig
from pipeline_tasks.models.two_tower.two_tower_recommender import TwoTowerRecommender
from pipeline_tasks.models.two_tower.user_inputs import NOTHING, UserContent
from pipeline_tasks.tables.contracts import CHOSEN_TYPES
from pipeline_tasks.training.fit_options import FitOptions


def build_two_tower(
    log: Interactions,
    raw_texts: Floats,
    options: FitOptions,
    device: torch.device,
    values: Integers | None = None,
    users: UserContent = NOTHING,
) -> TwoTowerRecommender:
    """Return the recommender before the first step: whitened texts, and id embeddings from co-occurrence.

    Args:
        raw_texts: (items, raw), finite.
        values: (items, most) numbers of structured values; None if the catalog has none.
        users: profiles and queries of the users.
    """
    n_items = len(raw_texts)
    numbers = np.zeros((n_items, 0), dtype=np.int64) if values is None else values
    seen = np.unique(log.items)
    rows = np.full(n_items, -1, dtype=np.int64)
    rows[seen] = np.arange(len(seen))
    widths = options.content_blocks or (raw_texts.shape[1],)
    center, turn = fit_block_whitening(raw_texts[seen], widths, options.text_dimension)
    config = model_config(log, options, users, (turn.shape[1], raw_texts.shape[1]))
    recipe = options.item_to_item_recipe(config.linear_rank)
    model = TwoTower(config)
    torch.nn.Module.to(model, device)
    with torch.no_grad():
        model.whitening_center.copy_(torch.from_numpy(center))
        model.whitening_map.copy_(torch.from_numpy(turn))
    _start_from_counts(model, log, n_items, options, recipe)
    texts = model.whiten(torch.from_numpy(raw_texts).to(device))
    trends = np.zeros((n_items, len(config.horizons)), dtype=np.float32)
    repeat_data = RepeatData(log, n_items, recipe)
    repeats = fit_repeat_model(repeat_data) if options.repeats else None
    viewed = fit_view_conversion(repeat_data) if options.view_conversion else None
    known = torch.from_numpy(rows).to(device), torch.from_numpy(numbers).to(device)
    fitted = TwoTowerRecommender("two_tower", model, texts, *known, trends, log.data_extent, 0, repeats, viewed, users)
    return fitted.at(log)


def model_config(log: Interactions, options: FitOptions, users: UserContent, texts: tuple[int, int]) -> TwoTowerConfig:
    """Return the model's config: the options of `ModelShape`, and what follows from the log.

    `texts` are the widths of whitened and of raw text vectors.
    """
    shape = {option.name: getattr(options, option.name) for option in fields(ModelShape)}
    known = len(np.unique(log.items))
    from_log = {
        "known_items": known,
        # Neither can be wider than the data that it is made from.
        "text_dimension": texts[0],
        "linear_rank": min(options.linear_rank, known),
        "raw_text_dimension": texts[1],
        "event_types": len(CHOSEN_TYPES),
        "horizons": choose_horizons(log),
        "linear_half_life": half_life(options.linear_kind, log),
        "tasks": sorted(set(options.task_weights) - {NEXT_ITEM}),
        "profile_values": len(users.profile),
        "reads_queries": users.queries.are_used,
    }
    return TwoTowerConfig(**shape | from_log)


@torch.no_grad()
def _start_from_counts(
    model: TwoTower, log: Interactions, n_items: int, options: FitOptions, recipe: ItemToItemRecipe
) -> None:
    """Set the item-to-item part, which is not trained, and the start values of the id embeddings."""
    seen = np.unique(log.items)
    user_side, item_side = fit_item_to_item(recipe, log, n_items)
    model.linear_in.copy_(torch.from_numpy(user_side[seen]))
    model.linear_out.copy_(torch.from_numpy(item_side[seen]))
    # Each member starts from its own random subspace; otherwise all members would start equal.
    seeds = [options.seed + number for number in range(options.members)]
    factors = id_factors(log, n_items, model.config.member_width, seeds)[seen]
    model.item_ids.weight.copy_(torch.from_numpy(options.id_scale * factors))
    model.text_projection.weight.mul_(options.text_scale / 0.02 / math.sqrt(options.text_dimension))
    if model.queries is not None:
        model.queries.start_from(model.text_projection.weight)
