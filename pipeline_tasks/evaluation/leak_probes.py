"""Probes for a scorer that uses the future (see ADR 0025).

Every evaluation compares the declared extent of a scorer's data with the allowed one (`refuse_future`). These probes
test the scorer or its fit and do not rely on that declaration.

`refuse_lookup` scores the same histories under other keys. It detects vectors or lists that were made from whole
histories and are looked up by key. It cannot detect a future that went into weights which all users share.

`refuse_leaky_fit` fits again after all events from the cut-off on were replaced. It detects every use of the future of
the given log in a fit that is deterministic by seed: weights, counts, vocabularies, early stopping, later times. It
cannot detect a future that is read from elsewhere (a file, or an encoder trained on the same log). Nor can it detect a
fit that uses only the number of future events, which stays the same.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from pipeline_tasks.data.interactions import Floats
from pipeline_tasks.data.split_parts import FutureLeakError, Part, Parts
from pipeline_tasks.evaluation.ranking_task import RankingTask, Scorer
from pipeline_tasks.times import DAY

_SAMPLE = 64
_TOLERANCE = 0.01
"""Allowed change, as a share of the spread of scores. Other batches change float32 scores by 1e-5 of the spread, and
bfloat16 scores by up to .004; a leak changes them by all of it."""


def refuse_lookup(scorer: Scorer, task: RankingTask, seed: int = 0) -> None:
    """Raise unless the scores of up to 64 users depend on their histories alone.

    Raises:
        FutureLeakError: the scores change when the same histories have other keys and another order.
    """
    chosen = np.random.default_rng(seed).permutation(len(task))[:_SAMPLE]
    histories = task.histories.select(chosen)
    renamed = replace(task.histories.select(chosen[::-1]), keys=[f"probe:{place}" for place in range(len(chosen))])
    changed = _changed(scorer.scores(histories), scorer.scores(renamed)[::-1])
    if changed:
        raise FutureLeakError(
            f"{scorer.name} scores {changed} of {len(chosen)} histories otherwise under other keys: it reads more "
            "than the histories (for example vectors by user, made from the whole log); score from the history alone"
        )


def refuse_leaky_fit(fit: Callable[[Parts], Scorer], parts: Parts, part: Part, n_items: int, seed: int = 0) -> None:
    """Raise if the scores of `fit` depend on `part` or on later events.

    `fit` gets all parts, as a training job does, but must not use those events.

    Raises:
        FutureLeakError: the scores of at least one history changed.
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
    """Return parts in which `part` and later events have random items and are a day later."""
    log = parts.log
    stops = parts.train_stops if part == "validation" else parts.validation_stops
    later = np.arange(len(log.items)) - log.offsets[log.rows] >= stops[log.rows]
    random = np.random.default_rng(seed).integers(0, n_items, len(log.items))
    scrambled = replace(log, items=np.where(later, random, log.items), times=log.times + later * DAY)
    return replace(parts, log=scrambled)


def _changed(scores: Floats, again: Floats) -> int:
    """Return the number of rows in which a score changed by more than the tolerance."""
    spread = np.maximum(scores.std(axis=1), np.abs(scores).max(axis=1) * 1e-3)
    return int((np.abs(scores - again).max(axis=1) > _TOLERANCE * spread).sum())
