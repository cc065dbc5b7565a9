"""Catches a scorer that knows the future, whatever it says about itself.

What a scorer says it was fitted on is compared with what may be known in every evaluation (`refuse_future`). These
probes ask the scorer, or what fits it, instead of believing it:

`refuse_lookup` scores the same histories again for strangers. It catches answers kept by user: vectors or lists that
were made from whole histories and are looked up by key. It cannot catch a future that has gone into weights shared by
all users, since those look alike from outside.

`refuse_leaky_fit` fits again after everything from the cut-off on was replaced. It catches every way in which a fit
that repeats itself by seed uses the future of the log it was given: weights, counts, vocabularies, early stopping,
later times. It cannot catch what reads the future from elsewhere (a file, an encoder trained on the very log), nor a
fit that uses no more than how many events somebody will have, which stay as many.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.data.split_parts import FutureLeakError, Part, Parts
from pipeline_tasks.evaluation.ranking_task import RankingTask, Scorer
from pipeline_tasks.time_units import DAY

_SAMPLE = 64
_TOLERANCE = 0.01
"""Of the spread of scores: other company in a batch moves float32 scores by 1e-5 of it, bfloat16 by up to its rounding,
.004; an answer moves them by all of it."""


def refuse_lookup(scorer: Scorer, task: RankingTask, seed: int = 0) -> None:
    """Raise unless the scores of up to 64 users depend on their histories alone.

    Raises:
        FutureLeakError: they are others when the same histories come under other keys, in another order.
    """
    chosen = np.random.default_rng(seed).permutation(len(task))[:_SAMPLE]
    histories = task.histories.select(chosen)
    strangers = replace(task.histories.select(chosen[::-1]), keys=[f"probe:{place}" for place in range(len(chosen))])
    changed = _changed(scorer.scores(histories), scorer.scores(strangers)[::-1])
    if changed:
        raise FutureLeakError(
            f"{scorer.name} scores {changed} of {len(chosen)} histories otherwise when they come under other keys: it "
            "reads more than the histories (vectors by user, made from whole logs?); score from the history alone"
        )


def refuse_leaky_fit(fit: Callable[[Parts], Scorer], parts: Parts, part: Part, n_items: int, seed: int = 0) -> None:
    """Raise unless `fit` gives the same scores whatever is in `part` and after it.

    `fit` may look at all of the parts that it is given, as a training job may, but must use none of the future.

    Raises:
        FutureLeakError: the scores of some user changed.
    """
    histories = parts.known_before(part)
    scorer = fit(parts)
    other = fit(scramble_future(parts, part, n_items, seed))
    changed = _changed(scorer.scores(histories), other.scores(histories))
    if changed:
        raise FutureLeakError(
            f"{scorer.name} scores {changed} of {len(histories)} histories otherwise after {part} was replaced by "
            "random events: its fit uses what was to be predicted"
        )


def scramble_future(parts: Parts, part: Part, n_items: int, seed: int = 0) -> Parts:
    """Return parts with random items, a day later, in place of the events of `part` and after."""
    log = parts.log
    stops = parts.train_stops if part == "validation" else parts.validation_stops
    later = np.arange(len(log.items)) - log.offsets[log.rows] >= stops[log.rows]
    random = np.random.default_rng(seed).integers(0, n_items, len(log.items))
    scrambled = replace(log, items=np.where(later, random, log.items), times=log.times + later * DAY)
    return replace(parts, log=scrambled)


def _changed(scores: Floats, again: Floats) -> int:
    """Return in how many rows a score changed by more than rounding."""
    spread = np.maximum(scores.std(axis=1), np.abs(scores).max(axis=1) * 1e-3)
    return int((np.abs(scores - again).max(axis=1) > _TOLERANCE * spread).sum())
