"""The two-tower recommender: score = user vector . item vector, and nothing else (by default: see matching).

Item tower: P (whitened text) + the vectors of its structured values + id embedding where there is one, then the item's
popularity trends as they are.
User tower: a causal transformer (post-LN) over the same item vectors with event type, time gap and, where the log has
them, the query that led to an event and what shoppers say of themselves, which also stands before the first event;
beside its d numbers it gives one weight per trend, so how far a shopper follows the crowd is learned and the score
stays one dot.
A linear part beside both (EASE in low rank) sums over the whole history, which the transformer sees only the end of.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from pipeline_tasks.model.matching import DotMatching, build_matching
from pipeline_tasks.model.quick_dropout import quick_dropout
from pipeline_tasks.model.shopper_modules import ProfileInput, QueryInput
from pipeline_tasks.model.task_heads import RatingHead, build_heads
from pipeline_tasks.model.two_tower_config import TwoTowerConfig


class Block(nn.Module):
    """Causal self-attention and a feed-forward layer, each normalized after its residual sum."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        width = config.dimension
        self.heads = config.heads
        self.rate = config.dropout
        self.inward = nn.Linear(width, 3 * width)
        self.outward = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, length, d) -> the same shape; a position sees itself and what is before it."""
        heads = self.inward(tokens).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = causal_attention(heads[0], heads[1], heads[2])
        mixed = self.outward(mixed.transpose(1, 2).flatten(2))
        tokens = self.norms[0](tokens + quick_dropout(mixed, self.rate, self.training))
        fed = quick_dropout(self.feed(tokens), self.rate, self.training)
        return self.norms[1](tokens + fed)  # type: ignore[no-any-return]


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """(batch, heads, length, d) three times -> the same shape; a position attends to itself and what is before it."""
    if queries.device.type != "cpu":
        return functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    # torch's own kernel takes 20.7 ms in bfloat16 for 40 x 4 x 50 x 32, forward and backward on one core; this 3.3 ms.
    length = queries.shape[-2]
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    later = torch.full((length, length), torch.finfo(scores.dtype).min, dtype=scores.dtype).triu(1)
    mixed: Tensor = (scores + later).softmax(dim=-1).to(values.dtype) @ values
    return mixed


class TwoTower(PreTrainedModel):
    """Item and user towers over one catalog. `whitening_*` turn the encoder's raw text vectors into the tower's."""

    config_class = TwoTowerConfig
    base_model_prefix = "two_tower"
    linear_in: Tensor
    linear_out: Tensor
    whitening_center: Tensor
    whitening_map: Tensor

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__(config)
        width = config.dimension
        self.text_projection = nn.Linear(config.text_dimension, width, bias=False)
        self.item_ids = nn.Embedding(config.known_items, width)
        # Number 0 is no value, and stays 0.
        self.item_values = nn.Embedding(config.item_values + 1, width, padding_idx=0)
        self.positions = nn.Embedding(config.max_length, width)
        self.event_types = nn.Embedding(config.event_types, width)
        self.gaps = nn.Embedding(config.gap_buckets, width)
        self.enter = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.layers)])
        self.trend_weights = nn.Linear(width, len(config.horizons))
        self.matching = build_matching(config.matching, width)
        self.heads = build_heads(config.tasks, width, config.dropout)
        self.profile = ProfileInput(config.profile_values, width) if config.has_lead else None
        trends = len(config.horizons)
        self.queries = QueryInput(config.text_dimension, width, trends) if config.reads_queries else None
        self.register_buffer("linear_in", torch.zeros(config.known_items, config.linear_rank))
        self.register_buffer("linear_out", torch.zeros(config.known_items, config.linear_rank))
        self.register_buffer("whitening_center", torch.zeros(config.raw_text_dimension))
        self.register_buffer("whitening_map", torch.zeros(config.raw_text_dimension, config.text_dimension))
        self.post_init()  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            nn.init.zeros_(module.weight[module.padding_idx])
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, DotMatching | RatingHead):
            module.reset()
        if isinstance(module, TwoTower):
            # 1 each: before training everybody follows the crowd.
            nn.init.constant_(module.trend_weights.bias, 1.0 / max(1, len(module.config.horizons)))

    def whiten(self, raw: Tensor) -> Tensor:
        """(n, raw) text vectors of the encoder -> (n, text) centered, decorrelated, of unit variance."""
        return (raw - self.whitening_center) @ self.whitening_map

    def content_vectors(self, texts: Tensor, values: Tensor) -> Tensor:
        """Return (n, d) of whitened texts (n, text) and numbers of structured values (n, most), 0 for none."""
        vectors: Tensor = self.text_projection(texts)
        if values.shape[1]:
            # A sum, as every value adds to what is known of an item; the mean of a few says no less than that of one.
            own = functional.embedding_bag(values, self.item_values.weight, mode="sum", padding_idx=0)
            vectors = vectors + own
        return vectors

    def item_vectors(self, texts: Tensor, values: Tensor, rows: Tensor) -> Tensor:
        """Return (n, d) of content and id rows (n,), -1 for an item without one."""
        vectors = self.content_vectors(texts, values)
        # A product, not torch.where: forward and backward 48 ms in place of 78 (12,101 x 256).
        ids: Tensor = self.item_ids(rows.clamp(min=0)) * (rows >= 0).unsqueeze(1)
        return vectors + ids

    def forward(
        self,
        item_vectors: Tensor,
        event_types: Tensor,
        gaps: Tensor,
        queries: Tensor | None = None,
        profiles: Tensor | None = None,
    ) -> Tensor:
        """Return (batch, lead + length, d + trends): the user vector after each event of right-padded histories, and
        before the first one where the model has a lead (lead is 1, else 0).

        Args:
            item_vectors: (batch, length, d). event_types, gaps: (batch, length) indices.
            queries: (batch, length, text) whitened, of what led to each event, 0 for none; None where nobody typed.
            profiles: (batch, most) numbers of attributes; of a model with a lead.
        """
        length = item_vectors.shape[1]
        positions = self.positions(torch.arange(length, device=item_vectors.device))
        tokens = item_vectors + positions + self.event_types(event_types) + self.gaps(gaps)
        if self.queries is not None and queries is not None:
            tokens = tokens + self.queries.led(queries)
        if self.profile is not None:
            tokens = self.profile(tokens, profiles)
        tokens = quick_dropout(self.enter(tokens), self.config.dropout, self.training)
        for block in self.blocks:
            tokens = block(tokens)
        return torch.cat([tokens, self.trend_weights(tokens)], dim=-1)

    def user_vectors(self, states: Tensor) -> Tensor:
        """Return (..., width + trends) of states (..., d + trends): the side of the shopper in `matching`."""
        width = self.config.dimension
        return torch.cat([self.matching.users(states[..., :width]), states[..., width:]], dim=-1)

    def full_item_vectors(self, vectors: Tensor, rows: Tensor, trends: Tensor) -> Tensor:
        """Return (n, width + trends + 1 + rank): what a user vector is matched with; the 1 says that an item is new."""
        known = (rows >= 0).unsqueeze(1)
        linear = torch.where(known, self.linear_out[rows.clamp(min=0)], 0.0)
        return torch.cat([self.matching.items(vectors), trends, ~known, linear], dim=1)
