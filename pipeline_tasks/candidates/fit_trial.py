"""The types of the functions that an option search calls and is called by."""

from collections.abc import Callable

from pipeline_tasks.training.best_epoch import EpochCallback
from pipeline_tasks.training.fit_options import FitOptions

Fit = Callable[[FitOptions, EpochCallback], float]
"""Trains stage 2 with the options, and returns the best NDCG@10 on validation."""
Tune = Callable[[FitOptions, Fit], FitOptions]
"""Takes the options chosen from the log, and returns options that are at least as good on validation."""
