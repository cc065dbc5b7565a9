"""A fitted two-tower model over one catalog: item vectors, user vectors, scores."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import DataExtent, Flags, Floats, Integers, Interactions
from pipeline_tasks.data.popularity_features import PopularityFeatures
from pipeline_tasks.models.item_to_item_part import history_weights
from pipeline_tasks.models.repeat_model import RepeatModel
from pipeline_tasks.models.two_tower.item_side import ItemSide
from pipeline_tasks.models.two_tower.matching import AdditiveMatching
from pipeline_tasks.models.two_tower.training_windows import last_windows
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.user_content import NOTHING, UserContent
from pipeline_tasks.models.two_tower.user_inputs import UserInputs
from pipeline_tasks.topk.pair_scores import PairScores, pair_scores

_BATCH = 512
_PAIRS = 100_000


@dataclass
class TwoTowerRecommender:
    """The model with all it needs to score a catalog of n items at one moment."""

    name: str
    model: TwoTower
    texts: torch.Tensor
    """(n, text) whitened."""
    rows: torch.Tensor
    """(n,) id row of each item, -1 where it has none."""
    values: torch.Tensor
    """(n, most) numbers of each item's structured values, 0 for none."""
    trends: Floats
    """(n, trends) at the moment of scoring."""
    evidence: DataExtent
    moment: int
    """Of scoring, epoch microseconds: what lies in a history is that old."""
    own: RepeatModel | None = None
    """Scores of what a user had before, where the log is one of repeats."""
    looked_at: RepeatModel | None = None
    """Scores of what a user looked at and has not had yet, where the log knows both."""
    users: UserContent = NOTHING
    """What is read of users beside their events; a query that is not in it is not read (see `knowing`)."""
    _kept: ItemSide | None = field(default=None, init=False, repr=False, compare=False)
    """Of a recommender that is `prepared`; a copy whose items may differ has none."""

    def prepared(self) -> "TwoTowerRecommender":
        """Return the recommender for many calls of `scores`: what it says of items is worked out once for all of them.

        It is not to be used after the model has changed.
        """
        ready = replace(self)
        ready._kept = self._items()
        return ready

    @torch.inference_mode()
    def item_matrix(self) -> Floats:
        """Return (n, width + trends + 1 + rank): the item vectors."""
        self.model.train(False)
        return self._items().matrix

    @property
    def additive_weights(self) -> Floats:
        """(a,) of an additive matching; none of any other."""
        matching = self.model.matching
        if not isinstance(matching, AdditiveMatching):
            return np.zeros(0, dtype=np.float32)
        return matching.weights.detach().float().cpu().numpy()

    @property
    def pair_scores(self) -> PairScores:
        """How user and item vectors make a score."""
        return pair_scores(self.additive_weights)

    @torch.inference_mode()
    def user_matrix(self, histories: Interactions) -> Floats:
        """Return (histories, width + trends + 1 + rank): after each last event and, where the model reads it, what was
        typed since; without an event by attributes and query, and where there are none of them either, of trends only.
        """
        inputs = self._inputs(histories)
        states = torch.from_numpy(self._states(inputs)).to(self.model.device)
        if histories.queries is not None:
            states = inputs.asking(states, histories.queries.last)
        vectors = self.model.user_vectors(states).float().cpu().numpy()
        width = self.model.matching.width
        vectors[(histories.lengths == 0) & ~inputs.has_profile_or_query, :width] = self.model.matching.nobody
        vectors[:, width:] += np.array(self.model.config.trend_shift, dtype=np.float32)
        level = np.full((len(histories), 1), self.model.config.new_item_level, dtype=np.float32)
        self._apply_new_user_weights(vectors, level, (histories.lengths == 0) & ~inputs.typed)
        linear = np.float32(self.model.config.linear_weight) * self._linear_sums(histories)
        return np.concatenate([vectors, level, linear], axis=1)

    @torch.inference_mode()
    def states(self, histories: Interactions) -> Floats:
        """Return (histories, d + members x trends): what the user tower says after each last event; with no event, what
        it says of a user's attributes, and zeros where nothing is known of them."""
        return self._states(self._inputs(histories))

    def knowing(self, log: Interactions, encode: Callable[[list[str]], Floats]) -> "TwoTowerRecommender":
        """Return the recommender with vectors of all queries of `log`; those that are new are encoded."""
        return self._with_same_items(replace(self, users=self.users.knowing(log, encode)))

    def _inputs(self, histories: Interactions) -> UserInputs:
        return UserInputs(histories, self.model, self.users)

    def _states(self, inputs: UserInputs) -> Floats:
        self.model.train(False)
        histories = inputs.log
        windows = last_windows(histories, self.model.config.max_length)
        table = self.item_table()
        popularity = self.model.popularity_weights.float().cpu().numpy()
        vectors = np.zeros((len(histories), self.model.config.dimension + len(popularity)), dtype=np.float32)
        # A user of whom nothing is known follows the crowd.
        vectors[:, self.model.config.dimension :] = popularity
        sizes = (windows >= 0).sum(axis=1)
        # Equal lengths together: no user pays for a longer neighbor's padding.
        order = np.argsort(sizes, kind="stable")
        order = order[(sizes[order] > 0) | inputs.has_profile_or_query[order]]
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            vectors[chosen] = self._last_states(inputs, windows[chosen, : sizes[chosen].max()], chosen, table)
        return vectors

    def _apply_new_user_weights(self, vectors: Floats, level: Floats, newcomers: Flags) -> None:
        """Have `newcomers` (n,), who did nothing and typed nothing, follow trends and attributes as their like did in
        validation. Vectors (n, width + trends) and levels of new items (n, 1) are changed in place."""
        config, width = self.model.config, self.model.matching.width
        if config.newcomer_trends:
            vectors[newcomers, :width] *= np.float32(config.newcomer_share)
            vectors[newcomers, width:] = np.array(config.newcomer_trends, dtype=np.float32)
            level[newcomers] = config.newcomer_level

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, n): user vectors matched with item vectors, and what `own_additions` adds."""
        ready = self.prepared()
        scores = np.asarray(ready.pair_scores.all(ready.user_matrix(histories), ready.item_matrix()), dtype=np.float32)
        added = ready.own_additions(histories).tocoo()
        scores[added.row, added.col] += added.data
        return scores

    def own_additions(self, histories: Interactions) -> csr_matrix:
        """Return (histories, n), sparse: what is added to the dot product for items of the user's own history."""
        added = csr_matrix((len(histories), len(self.rows)), dtype=np.float32)
        for fitted in (self.own, self.looked_at):
            if fitted is not None:
                # A pair of user and item is in one of them at most.
                added = added + self.additions_of(fitted, histories)
        return added

    def additions_of(self, fitted: RepeatModel, histories: Interactions) -> csr_matrix:
        """Return (histories, n), sparse: the additions of one scorer of own items."""
        pairs = fitted.pairs(histories)
        return fitted.additions(pairs, self.linear_scores(histories, pairs.rows, pairs.items), len(histories))

    def linear_scores(self, histories: Interactions, rows: Integers, items: Integers) -> Floats:
        """Return (pairs,) the collaborative part's unweighted scores of items for histories, given pair by pair."""
        item_factors, sums = self._items().item_factors, self._linear_sums(histories)
        parts = [
            np.einsum("pr,pr->p", sums[rows[start:stop]], item_factors[items[start:stop]])
            for start in range(0, len(rows), _PAIRS)
            for stop in [start + _PAIRS]
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def at(self, known: Interactions, evidence: DataExtent | None = None) -> "TwoTowerRecommender":
        """Return the recommender with the trends as they are after the last event of `known`."""
        trends = PopularityFeatures(known, len(self.rows), self.model.config.horizons)
        moment = known.evidence.last_timestamp + 1
        own, looked_at = (fitted and fitted.at(known, len(self.rows)) for fitted in (self.own, self.looked_at))
        now = replace(self, trends=trends.at(moment), moment=moment, own=own, looked_at=looked_at)
        return replace(now, evidence=evidence or self.evidence)

    def as_of(self, moment: int) -> "TwoTowerRecommender":
        """Return the recommender at `moment` where that is after its own: for events newer than all that it has seen.

        What happened after its own moment counts in full; trends and demand stay as they were last known.
        """
        if moment <= self.moment:
            return self
        own, looked_at = (fitted and replace(fitted, moment=moment) for fitted in (self.own, self.looked_at))
        return self._with_same_items(replace(self, moment=moment, own=own, looked_at=looked_at))

    def _with_same_items(self, other: "TwoTowerRecommender") -> "TwoTowerRecommender":
        """Return `other`, which differs in nothing that items depend on, prepared where this one is."""
        other._kept = self._kept
        return other

    def _linear_sums(self, histories: Interactions) -> Floats:
        """Return (histories, rank): the sum over the items of the whole history."""
        config, user_factors = self.model.config, self._items().user_factors
        weights = history_weights(
            config.linear_kind, histories, len(user_factors), self.moment, config.linear_half_life
        )
        return np.asarray(weights @ user_factors, dtype=np.float32)

    def item_table(self) -> torch.Tensor:
        """Return (n, d), on the model's device: what the item tower says of each item."""
        return self._items().table

    def _items(self) -> ItemSide:
        return self._kept or ItemSide(self.model, self.texts, self.rows, self.values, self.trends)

    def _last_states(self, inputs: UserInputs, windows: Integers, rows: Integers, table: torch.Tensor) -> Floats:
        device = table.device
        items = inputs.log.items[np.maximum(windows, 0)]
        states = inputs.states(windows, rows, table[torch.from_numpy(items).to(device)])
        lead = states.shape[1] - windows.shape[1]
        last = torch.from_numpy((windows >= 0).sum(axis=1) - 1 + lead).to(device)
        places = torch.arange(len(last), device=device)
        return np.asarray(states[places, last].float().cpu().numpy(), dtype=np.float32)
