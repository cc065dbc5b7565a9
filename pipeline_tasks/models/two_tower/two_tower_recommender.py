"""A fitted two-tower model over one catalog: item vectors, user vectors and scores."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix

from pipeline_tasks.data.interactions import DataExtent, Flags, Floats, Integers, Interactions
from pipeline_tasks.data.popularity_features import PopularityFeatures
from pipeline_tasks.models.item_to_item import history_weights
from pipeline_tasks.models.repeat_model import RepeatModel
from pipeline_tasks.models.two_tower.item_side import ItemSide
from pipeline_tasks.models.two_tower.matching import AdditiveMatching
from pipeline_tasks.models.two_tower.training_windows import last_windows
from pipeline_tasks.models.two_tower.tuned_weights import UNTUNED, TunedWeights
from pipeline_tasks.models.two_tower.two_tower import TwoTower
from pipeline_tasks.models.two_tower.user_inputs import NOTHING, UserContent, UserInputs
from pipeline_tasks.topk.pair_scores import PairScores, pair_scores

_BATCH = 512
_PAIRS = 100_000


@dataclass
class TwoTowerRecommender:
    """The model, with all inputs for scoring a catalog of n items at one time."""

    name: str
    model: TwoTower
    texts: torch.Tensor
    """(n, text) whitened."""
    rows: torch.Tensor
    """(n,) id row of each item, -1 where it has none."""
    values: torch.Tensor
    """(n, most) numbers of each item's structured values, 0 for none."""
    trends: Floats
    """(n, trends) at the time of scoring."""
    data_extent: DataExtent
    """Extent of the data that the recommender has seen."""
    moment: int
    """Time of scoring in epoch microseconds; the age of an event is relative to it."""
    repeat_model: RepeatModel | None = None
    """Model of previously purchased items; None if the log has few repeats."""
    view_conversion: RepeatModel | None = None
    """Model of items viewed but not yet purchased; None if the log does not support it."""
    users: UserContent = NOTHING
    """Profiles and queries of users; a query that it does not hold is ignored (see `with_queries_of`)."""
    tuned: TunedWeights = UNTUNED
    """Weights of the parts of the score."""
    _prepared_items: ItemSide | None = field(default=None, init=False, repr=False, compare=False)
    """The cached item side of a `prepared` recommender; None in a copy, as its items may differ."""

    def prepared(self) -> "TwoTowerRecommender":
        """Return a copy that caches the item side for many calls of `scores`.

        It must not be used after the model has changed.
        """
        ready = replace(self)
        ready._prepared_items = self._items()
        return ready

    def with_weights(self, **changes: Any) -> "TwoTowerRecommender":  # noqa: ANN401
        """Return the recommender with other values of some `TunedWeights`, by their names."""
        changed = replace(self, tuned=replace(self.tuned, **changes))
        # All but the embeddings of new items are weights of the user side.
        same = changed.tuned.cold_start_embeddings == self.tuned.cold_start_embeddings
        return self._with_same_items(changed) if same else changed

    @torch.inference_mode()
    def item_matrix(self) -> Floats:
        """Return (n, width + trends + 1 + rank): the item vectors."""
        self.model.train(False)
        return self._items().matrix

    @property
    def repeat_models(self) -> tuple[RepeatModel | None, RepeatModel | None]:
        """The repeat model and the view conversion model."""
        return self.repeat_model, self.view_conversion

    @property
    def additive_weights(self) -> Floats:
        """(a,) output weights of an additive matching; empty for any other matching."""
        matching = self.model.matching
        if not isinstance(matching, AdditiveMatching):
            return np.zeros(0, dtype=np.float32)
        return matching.weights.detach().float().cpu().numpy()

    @property
    def pair_scores(self) -> PairScores:
        """The function that scores user and item vectors."""
        return pair_scores(self.additive_weights)

    @torch.inference_mode()
    def user_matrix(self, histories: Interactions) -> Floats:
        """Return (histories, width + trends + 1 + rank): the user vectors after each last event.

        They include the queries typed since, if the model reads them. For users without events they follow from
        attributes and queries; without those, from the trends only.
        """
        inputs = self._inputs(histories)
        states = torch.from_numpy(self._states(inputs)).to(self.model.device)
        if histories.queries is not None:
            states = inputs.with_last_queries(states, histories.queries.last)
        vectors = self.model.user_vectors(states).float().cpu().numpy()
        width = self.model.matching.width
        vectors[(histories.lengths == 0) & ~inputs.has_profile_or_query, :width] = self.model.matching.unknown_user
        vectors[:, width:] += np.array(self.tuned.trend_shift or 0.0, dtype=np.float32)
        boosts = np.full((len(histories), 1), self.tuned.cold_start_boost, dtype=np.float32)
        self._apply_new_user_weights(vectors, boosts, (histories.lengths == 0) & ~inputs.has_query)
        linear = np.float32(self.tuned.item_to_item) * self._linear_sums(histories)
        return np.concatenate([vectors, boosts, linear], axis=1)

    @torch.inference_mode()
    def states(self, histories: Interactions) -> Floats:
        """Return (histories, d + members x trends): the output of the user tower after each last event.

        Without events it is the output for the user's attributes; the first d columns are 0 if there are none.
        """
        return self._states(self._inputs(histories))

    def with_queries_of(self, log: Interactions, encode: Callable[[list[str]], Floats]) -> "TwoTowerRecommender":
        """Return the recommender with vectors of all queries of `log`; new queries are encoded."""
        return self._with_same_items(replace(self, users=self.users.with_queries_of(log, encode)))

    def _inputs(self, histories: Interactions) -> UserInputs:
        return UserInputs(histories, self.model, self.users)

    def _states(self, inputs: UserInputs) -> Floats:
        self.model.train(False)
        histories = inputs.log
        windows = last_windows(histories, self.model.config.max_length)
        table = self.item_table()
        popularity = self.model.popularity_weights.float().cpu().numpy()
        vectors = np.zeros((len(histories), self.model.config.dimension + len(popularity)), dtype=np.float32)
        # A user without history or attributes follows popularity.
        vectors[:, self.model.config.dimension :] = popularity
        sizes = (windows >= 0).sum(axis=1)
        # Sorted by length, so that batches have little padding.
        order = np.argsort(sizes, kind="stable")
        order = order[(sizes[order] > 0) | inputs.has_profile_or_query[order]]
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            vectors[chosen] = self._last_states(inputs, windows[chosen, : sizes[chosen].max()], chosen, table)
        return vectors

    def _apply_new_user_weights(self, vectors: Floats, boosts: Floats, new_users: Flags) -> None:
        """Apply the weights for users without events and queries, flagged by `new_users` (n,).

        Changes vectors (n, width + trends) and boosts of new items (n, 1) in place.
        """
        tuned, width = self.tuned, self.model.matching.width
        if tuned.new_user_trends:
            vectors[new_users, :width] *= np.float32(tuned.new_user_profile)
            vectors[new_users, width:] = np.array(tuned.new_user_trends, dtype=np.float32)
            boosts[new_users] = tuned.new_user_boost

    def scores(self, histories: Interactions) -> Floats:
        """Return (histories, n): the matching of user and item vectors, plus the `repeat_additions`."""
        ready = self.prepared()
        scores = np.asarray(ready.pair_scores.all(ready.user_matrix(histories), ready.item_matrix()), dtype=np.float32)
        added = ready.repeat_additions(histories).tocoo()
        scores[added.row, added.col] += added.data
        return scores

    def repeat_additions(self, histories: Interactions) -> csr_matrix:
        """Return (histories, n), sparse: the scores of the repeat models, which are added to the dot product."""
        added = csr_matrix((len(histories), len(self.rows)), dtype=np.float32)
        for fitted in self.repeat_models:
            if fitted is not None:
                # The two models never score the same pair of user and item.
                added = added + self.additions_by(fitted, histories)
        return added

    def additions_by(self, fitted: RepeatModel, histories: Interactions) -> csr_matrix:
        """Return (histories, n), sparse: the scores of one repeat model."""
        pairs = fitted.pairs(histories)
        return fitted.additions(pairs, self.linear_scores(histories, pairs.rows, pairs.items), len(histories))

    def linear_scores(self, histories: Interactions, rows: Integers, items: Integers) -> Floats:
        """Return (pairs,) the item-to-item part's unweighted scores of `items` for the histories `rows`."""
        item_factors, sums = self._items().item_factors, self._linear_sums(histories)
        parts = [
            np.einsum("pr,pr->p", sums[rows[start:stop]], item_factors[items[start:stop]])
            for start in range(0, len(rows), _PAIRS)
            for stop in [start + _PAIRS]
        ]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)

    def at(self, known: Interactions) -> "TwoTowerRecommender":
        """Return the recommender with the trends after the last event of `known`."""
        trends = PopularityFeatures(known, len(self.rows), self.model.config.horizons)
        moment = known.data_extent.last_timestamp + 1
        repeats, views = (fitted and fitted.at(known, len(self.rows)) for fitted in self.repeat_models)
        return replace(self, trends=trends.at(moment), moment=moment, repeat_model=repeats, view_conversion=views)

    def as_of(self, moment: int) -> "TwoTowerRecommender":
        """Return the recommender at `moment`, or unchanged if that is not later, to score newer events.

        Trends and demand stay as they were last known.
        """
        if moment <= self.moment:
            return self
        repeats, views = (fitted and replace(fitted, moment=moment) for fitted in self.repeat_models)
        return self._with_same_items(replace(self, moment=moment, repeat_model=repeats, view_conversion=views))

    def _with_same_items(self, other: "TwoTowerRecommender") -> "TwoTowerRecommender":
        """Return `other`, which must have the same item side, with the cache of this recommender."""
        other._prepared_items = self._prepared_items
        return other

    def _linear_sums(self, histories: Interactions) -> Floats:
        """Return (histories, rank): the weighted sum of the user-side factors over the whole history."""
        config, user_factors = self.model.config, self._items().user_factors
        weights = history_weights(
            config.linear_kind, histories, len(user_factors), self.moment, config.linear_half_life
        )
        return np.asarray(weights @ user_factors, dtype=np.float32)

    def item_table(self) -> torch.Tensor:
        """Return (n, d), on the model's device: the output of the item tower."""
        return self._items().table

    def _items(self) -> ItemSide:
        fills = self.tuned.cold_start_embeddings
        described = (self.texts, self.rows, self.values, self.trends)
        return self._prepared_items or ItemSide(self.model, *described, fills_cold_start=fills)

    def _last_states(self, inputs: UserInputs, windows: Integers, rows: Integers, table: torch.Tensor) -> Floats:
        device = table.device
        items = inputs.log.items[np.maximum(windows, 0)]
        states = inputs.states(windows, rows, table[torch.from_numpy(items).to(device)])
        lead = states.shape[1] - windows.shape[1]
        last = torch.from_numpy((windows >= 0).sum(axis=1) - 1 + lead).to(device)
        places = torch.arange(len(last), device=device)
        return np.asarray(states[places, last].float().cpu().numpy(), dtype=np.float32)
