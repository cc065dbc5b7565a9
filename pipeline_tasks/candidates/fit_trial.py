"""A training of stage 2 as a search sees it."""

from collections.abc import Callable

from pipeline_tasks.training.best_epoch import Listener
from pipeline_tasks.training.fit_options import FitOptions

Fit = Callable[[FitOptions, Listener], float]
"""Trains with options, and returns the best NDCG@10 on validation."""
Tune = Callable[[FitOptions, Fit], FitOptions]
"""Returns options as good as those chosen from the log or better, by trying some."""
