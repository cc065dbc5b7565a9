"""The two-tower recommender: score = user vector . item vector (by default, see matching).

Item tower: the projection of the whitened text + embeddings of structured values + the id embedding, if there is one;
then the item's popularity trends, unchanged.
User tower: a causal transformer (post-LN) over the same item vectors with event type and time gap. If the log has them,
it also reads the query that led to an event, and the user's attributes, which add a token before the first event.
Besides the state of width d, it returns one weight per trend, so the model learns how strongly a user follows
popularity, and the score stays a dot product.
Members of the ensemble are several such towers in slices of all vectors, each with its own loss. Their mean score is
one dot product.
A linear item-to-item part (such as EASE in low rank) sums over the whole history, of which the transformer sees only
the end.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from pipeline_tasks.models.task_heads.binary_task import build_heads
from pipeline_tasks.models.task_heads.head_networks import TaskHead
from pipeline_tasks.models.two_tower.matching import DotMatching, build_matching
from pipeline_tasks.models.two_tower.two_tower_config import TwoTowerConfig
from pipeline_tasks.models.two_tower.user_tower import ProfileInput, QueryInput, UserTower


class TwoTower(PreTrainedModel):
    """Item and user towers over one catalog; `whitening_*` map raw text vectors of the encoder to whitened ones."""

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
        # Number 0 means no value; its vector stays 0.
        self.item_values = nn.Embedding(config.item_values + 1, width, padding_idx=0)
        self.positions = nn.Embedding(config.max_length, width)
        self.event_types = nn.Embedding(config.event_types, width)
        self.gaps = nn.Embedding(config.gap_buckets, width)
        self.members = nn.ModuleList([UserTower(config) for _ in range(config.members)])
        self.matching = build_matching(config.matching, width)
        self.heads = build_heads(config.tasks, width, config.dropout)
        self.profile = ProfileInput(config.profile_values, width) if config.has_lead else None
        trends = config.members * len(config.horizons)
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
        if isinstance(module, DotMatching | TaskHead):
            module.reset()
        if isinstance(module, TwoTower):
            # The weights sum to 1, so before training all users follow popularity. Set here and not in the members,
            # because transformers skips modules without weights of their own.
            for member in module.towers:
                nn.init.constant_(member.trend_weights.bias, 1.0 / max(1, len(module.config.horizons)))

    @property
    def towers(self) -> list[UserTower]:
        """The user towers of the members."""
        return [tower for tower in self.members if isinstance(tower, UserTower)]

    def whiten(self, raw: Tensor) -> Tensor:
        """Return (n, text): text vectors (n, raw) of the encoder, centered and decorrelated, with unit variance."""
        return (raw - self.whitening_center) @ self.whitening_map

    def content_vectors(self, texts: Tensor, values: Tensor) -> Tensor:
        """Return (n, d) from whitened texts (n, text) and numbers of structured values (n, most), 0 for none."""
        vectors: Tensor = self.text_projection(texts)
        if values.shape[1]:
            # A sum and not a mean, because every value adds information.
            own = functional.embedding_bag(values, self.item_values.weight, mode="sum", padding_idx=0)
            vectors = vectors + own
        return vectors

    def item_vectors(self, texts: Tensor, values: Tensor, rows: Tensor) -> Tensor:
        """Return (n, d) from content and id rows (n,), -1 for an item without an id."""
        vectors = self.content_vectors(texts, values)
        # A product is faster than torch.where: 48 ms instead of 78 forward and backward (12,101 x 256).
        ids: Tensor = self.item_ids(rows.clamp(min=0)) * (rows >= 0).unsqueeze(1)
        return vectors + ids

    def forward(
        self,
        item_vectors: Tensor,
        event_types: Tensor,
        gaps: Tensor,
        queries: Tensor | None = None,
        profiles: Tensor | None = None,
        member: int | None = None,
    ) -> Tensor:
        """Return (batch, lead + length, d + members x trends): the state after each event of right-padded histories.

        A model with a lead (lead is 1, else 0) also returns the state before the first event.

        Args:
            item_vectors: (batch, length, d), or the slice of `member`.
            event_types: (batch, length) indices.
            gaps: (batch, length) indices.
            queries: (batch, length, text) whitened queries that led to each event, 0 for none; None without queries.
            profiles: (batch, most) numbers of attributes, for a model with a lead.
            member: compute the state of this member alone; None for all.
        """
        width, length = self.config.member_width, item_vectors.shape[1]
        part = slice(None) if member is None else slice(member * width, (member + 1) * width)
        positions = self.positions(torch.arange(length, device=item_vectors.device))[..., part]
        tokens = item_vectors + positions + self.event_types(event_types)[..., part] + self.gaps(gaps)[..., part]
        if self.queries is not None and queries is not None:
            tokens = tokens + self.queries.led(queries)[..., part]
        if self.profile is not None:
            tokens = self.profile(tokens, profiles, part)
        towers = self.towers if member is None else [self.towers[member]]
        outputs = [tower(own) for tower, own in zip(towers, tokens.split(width, dim=-1), strict=True)]
        return torch.cat([*(states for states, _ in outputs), *(trends for _, trends in outputs)], dim=-1)

    def state_of_member(self, states: Tensor, member: int | None) -> Tensor:
        """Return the part of states (..., d + members x trends) that belongs to `member`; all of it for None."""
        if member is None or self.config.members == 1:
            return states
        width, trends = self.config.member_width, len(self.config.horizons)
        own, weights = states[..., : self.config.dimension], states[..., self.config.dimension :]
        return torch.cat([own.split(width, -1)[member], weights[..., member * trends : (member + 1) * trends]], dim=-1)

    def user_vectors(self, states: Tensor) -> Tensor:
        """Return (..., width + trends) from states (..., d + members x trends): the user side of `matching`.

        The score is the mean of the members' scores.
        """
        width, members = self.config.dimension, self.config.members
        own, weights = states[..., :width], states[..., width:]
        if members > 1:
            own, weights = own / members, weights.unflatten(-1, (members, len(self.config.horizons))).mean(dim=-2)
        return torch.cat([self.matching.users(own), weights], dim=-1)

    def member_vectors(self, states: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the user and item vectors of one member's loss.

        Args:
            states: (n, d + trends) of the member.
            vectors: (items, d), the member's slice of the item vectors.
        """
        if self.config.members > 1:
            return states, vectors
        return self.user_vectors(states), self.matching.items(vectors)

    @property
    def popularity_weights(self) -> Tensor:
        """(members x trends,) weights of the trends for a user without history."""
        return torch.cat([tower.trend_weights.bias for tower in self.towers])

    def full_item_vectors(self, vectors: Tensor, rows: Tensor, trends: Tensor) -> Tensor:
        """Return (n, width + trends + 1 + rank): the item vectors for the dot product; the 1 flags a new item."""
        known = (rows >= 0).unsqueeze(1)
        linear = torch.where(known, self.linear_out[rows.clamp(min=0)], 0.0)
        return torch.cat([self.matching.items(vectors), trends, ~known, linear], dim=1)
