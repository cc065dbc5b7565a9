"""The search space: values near the options chosen from the log; options that were set by hand stay fixed."""

from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pipeline_tasks.config.settings import SplitStrategy
from pipeline_tasks.config.training_settings import ATTENTION_HEADS, TrainingSettings
from pipeline_tasks.training.fit_options import FitOptions


@dataclass(frozen=True)
class SearchSpace:
    """The options that vary, with their start values."""

    chosen: FitOptions
    """The start values. They are also the first trial, so a search never ends below them on validation."""
    distributions: dict[str, BaseDistribution]
    """Name of an option -> its values, which include the start value."""

    @property
    def start(self) -> dict[str, Any]:
        """The start value of each option that varies."""
        return {name: getattr(self.chosen, name) for name in self.distributions}

    def options(self, values: dict[str, Any]) -> FitOptions:
        """Return the chosen options, with `values` replaced."""
        return replace(self.chosen, **values)


def space_around(chosen: FitOptions, strategy: SplitStrategy, training: TrainingSettings) -> SearchSpace:
    """Return the space around `chosen`: sizes from half to twice the value, shares by an equal distance either way."""
    space: dict[str, BaseDistribution] = {
        "dimension": CategoricalDistribution(_near(chosen.dimension, least=16, step=ATTENTION_HEADS * chosen.members)),
        "dropout": FloatDistribution(max(0.0, chosen.dropout - 0.2), min(0.8, chosen.dropout + 0.2)),
        "epochs": IntDistribution(max(1, chosen.epochs // 2), chosen.epochs + chosen.epochs // 2),
        "learning_rate": FloatDistribution(chosen.learning_rate / 2, chosen.learning_rate * 2, log=True),
        "weight_decay": FloatDistribution(chosen.weight_decay / 10, chosen.weight_decay * 10, log=True),
        "repeat_weight": CategoricalDistribution(sorted({0.0, 0.3, 1.0, chosen.repeat_weight})),
    }
    # For leave_one_out, the training target follows from the task: the next item, or the rest of the basket.
    if strategy != "leave_one_out":
        space["answers"] = CategoricalDistribution(_near(chosen.answers, least=1))
        space["reach"] = CategoricalDistribution(_near(chosen.reach, least=1))
    given = {"dimension": bool(training.dimension), "epochs": bool(training.epochs)}
    given["dropout"] = training.dropout is not None
    return SearchSpace(chosen, {name: values for name, values in space.items() if not given.get(name)})


def _near(size: int, least: int, step: int = 1) -> list[int]:
    """Return half of `size` (at least `least`, rounded up to a multiple of `step`), `size`, and twice `size`."""
    half = max(least, size // 2)
    return sorted({-(-half // step) * step, size, size * 2})
