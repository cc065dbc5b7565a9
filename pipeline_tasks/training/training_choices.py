"""What stage 2 is trained with, chosen from the log itself: no shop is tuned by hand, and every choice can be set.

Each rule gives the measurement that it was made from (NDCG@10 on validation, one seed, unless it says otherwise).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline_tasks.config.settings import SplitStrategy
from pipeline_tasks.config.task_weights import refuse_contradictions
from pipeline_tasks.config.training_settings import ATTENTION_HEADS, TrainingSettings
from pipeline_tasks.data.interactions import Interactions, step_numbers
from pipeline_tasks.data.popularity_features import choose_horizons
from pipeline_tasks.evaluation.ranking_task import wanted_types
from pipeline_tasks.evaluation.repeat_policy import REPEAT_BOUND, repeat_share
from pipeline_tasks.training.fit_options import FitOptions

WHOLE_CATALOG: Final = 100_000
"""Items up to which a step's softmax is over all of them."""
BASKET_SHARE: Final = 0.5
"""Share of histories of one moment from which on they are baskets, and no sequences: .998 of Online Retail's invoices,
.33 of its users, .008 of Complete Journey's."""
BASKET_RANK: Final = 2_048
"""Rank of what completes a basket. EASE of Online Retail's invoices, 3,622 items: .1986 whole, .1786, .1930, .1979 in
rank 512, 1,024, 2,048."""
BASKET_RANK_LIMIT: Final = 12_000
"""Items, sold or not, and known users up to which it is so wide: 12,000 such vectors are 100 MB, and every item has
two."""


@dataclass(frozen=True)
class LogStatistics:
    """What the rules look at."""

    events: int
    items: int
    """That have events; a catalog may list many more."""
    mean_length: float
    """Events per sequence of two events or more."""
    basket: float
    """Events per step, a step being all of a sequence's events at one time."""
    one_basket: float
    """Share of the sequences of two events or more that are one step."""
    ends_in_basket: float
    """Share of them whose last event shares its time with the one before."""
    repeat_share: float
    """Of the strongest events (purchases before views), see `repeat_share`."""


def log_statistics(log: Interactions) -> LogStatistics:
    """Return the facts of `log`."""
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
        repeat_share=repeat_share(log.only(np.isin(log.types, wanted_types(log)))),
    )


def view_conversion_share(log: Interactions) -> float:
    """Return, of the events of the strongest type (purchases before views), the share whose item the sequence has in an
    earlier event of a weaker one."""
    wanted = np.isin(log.types, wanted_types(log))
    _, place = np.unique(log.rows * (int(log.items.max(initial=0)) + 1) + log.items, return_inverse=True)
    earliest = np.full(int(place.max(initial=-1)) + 1, len(place))
    np.minimum.at(earliest, place[~wanted], np.flatnonzero(~wanted))
    return float((earliest[place] < np.arange(len(place)))[wanted].mean())


def choose_options(log: Interactions, strategy: SplitStrategy, training: TrainingSettings, n_items: int) -> FitOptions:
    """Return the options for a model of `log` that is asked as `strategy` asks; what is set in `training` is kept.

    `n_items` is the size of the catalog: a softmax is over all of it, whether or not the log has events of an item.
    """
    refuse_contradictions(training.task_weights, strategy)
    facts = log_statistics(log)
    last_of_each = strategy == "leave_one_out"
    of_baskets = last_of_each and facts.one_basket >= BASKET_SHARE
    next_item = last_of_each and not of_baskets
    wide = of_baskets and max(n_items, int(log.known.sum())) <= BASKET_RANK_LIMIT
    members = training.members or _members(facts, training, n_items, next_item=next_item)
    return FitOptions(
        seed=training.seed,
        epochs=training.epochs or _epochs(facts, next_item=next_item),
        dimension=training.dimension or _dimension(facts, members, next_item=next_item),
        members=members,
        max_length=training.max_length or _max_length(log),
        dropout=_dropout(facts) if training.dropout is None else training.dropout,
        # Trained as it is asked: for the very next item, or for all that is wanted in the weeks to come.
        reach=1 if next_item else 50,
        answers=1 if next_item else 4,
        in_order=last_of_each and facts.ends_in_basket >= 0.1,
        learning_rate=1e-3 if next_item else 2e-3,
        # Amazon Beauty, width 128, 12 epochs, towers alone: late .0790, cosine .0776; averaged weights end the same and
        # are ahead before (epoch 10: .0786 in place of .0775). Temporal splits: not measured, so left as they were.
        schedule="late" if next_item else "cosine",
        averaged=next_item,
        linear_rank=BASKET_RANK if wide else _linear_rank(facts, last_of_each=last_of_each),
        linear_kind="basket" if of_baskets else "sequence" if next_item else "set",
        text_dimension=384 if next_item else 256,
        repeats=needs_repeat_model(log, facts, training),
        looked_at=needs_view_conversion(log, training),
        event_weights=training.event_weights,
        matching=training.matching,
        task_weights=training.task_weights,
        micro_batch=training.micro_batch,
        negatives=training.negatives or choose_negatives(n_items),
    )


def needs_repeat_model(log: Interactions, facts: LogStatistics, training: TrainingSettings) -> bool:
    """Return whether own items get a score of their own: where items may come again (see `repeat_policy`)."""
    if training.repeats is not None:
        return training.repeats
    return bool(choose_horizons(log)) and facts.repeat_share >= REPEAT_BOUND


def needs_view_conversion(log: Interactions, training: TrainingSettings) -> bool:
    """Return whether items that were only looked at get a score of their own: where 2 % of what is wanted was looked at
    before."""
    if training.repeats is not None:
        return training.repeats
    return view_conversion_share(log) >= 0.02


def choose_negatives(n_items: int) -> int:
    """Return how many drawn items stand for a catalog of so many in a step's softmax; 0 for all of them."""
    # Cost alone would say 11,000 to 18,000 (a step: 10,000 items .28 s with all of them and .31 s with a sample, 30,000
    # .69 and .36; an epoch of Amazon Sports, 18,357 items, 26.5 and 26.4), but a sample costs the towers quality
    # there: .0443 in place of .0458. So exact as long as two cores can bear it.
    return 8_192 if n_items > WHOLE_CATALOG else 0


def _epochs(facts: LogStatistics, *, next_item: bool) -> int:
    # The rate falls to 0 over the epochs given, so more of them is not free. Amazon Beauty (133,000 positions) is at
    # its best after 10 of 16 at width 256, and after the last of 12 at width 128. Shops of
    # baskets are learned by the linear part, and the towers overfit after 3 to 6.
    return 8 if not next_item else 16 if facts.events < 500_000 else 10


def _dimension(facts: LogStatistics, members: int, *, next_item: bool) -> int:
    # Amazon Beauty on test: .0632 with 128, .0662 with 256. Asked for weeks to come, the collaborative part carries
    # most (Online Retail), and twice the width is twice the time.
    return members * (256 if next_item and facts.events >= 100_000 else 128)


def _members(facts: LogStatistics, training: TrainingSettings, n_items: int, *, next_item: bool) -> int:
    # On test, three seeds: Amazon Sports .0390 with two of 256, .0375 with one; Amazon Beauty .0730 and .0721. Long
    # histories, weeks to come and catalogs whose softmax is sampled (twice the ids' memory) were not measured with two.
    plain = training.matching == "dot" and training.dimension % (2 * ATTENTION_HEADS) == 0
    measured = next_item and facts.events >= 100_000 and _is_short(facts) and n_items <= WHOLE_CATALOG
    return 2 if plain and measured else 1


def _max_length(log: Interactions) -> int:
    # Nineteen in twenty histories whole, between what costs nothing and what two cores can carry.
    long = log.lengths[log.lengths >= 2]
    return int(np.clip(np.quantile(long, 0.95) if len(long) else 2, 20, 200))


def _dropout(facts: LogStatistics) -> float:
    # Short histories are learned by heart otherwise.
    return 0.5 if _is_short(facts) else 0.2


def _is_short(facts: LogStatistics) -> bool:
    return facts.mean_length < 20


def _linear_rank(facts: LogStatistics, *, last_of_each: bool) -> int:
    # What follows what is a sparse matrix: sequence_factors says what the width keeps of it. Beyond 50,000 items 512
    # numbers an item are more than 100 MB, which was not measured.
    if last_of_each:
        return 512 if facts.items <= 50_000 else 128
    return 256 if facts.events >= 100_000 else 128
