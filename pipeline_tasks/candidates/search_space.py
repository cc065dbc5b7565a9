"""Where the search looks: near the options that were chosen from the log, never at one that was set by hand."""

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
    """What may vary, and from where it starts."""

    chosen: FitOptions
    """The start, which is also the first trial: a search never ends below it on validation."""
    distributions: dict[str, BaseDistribution]
    """Name of an option -> its values; each holds the start's."""

    @property
    def start(self) -> dict[str, Any]:
        """The chosen options' values of what may vary."""
        return {name: getattr(self.chosen, name) for name in self.distributions}

    def options(self, values: dict[str, Any]) -> FitOptions:
        """Return the chosen options with `values` in them."""
        return replace(self.chosen, **values)


def space_around(chosen: FitOptions, strategy: SplitStrategy, training: TrainingSettings) -> SearchSpace:
    """Return half to twice of what is a size, and as far to both sides of what is a share."""
    space: dict[str, BaseDistribution] = {
        "dimension": CategoricalDistribution(_near(chosen.dimension, least=16, step=ATTENTION_HEADS * chosen.members)),
        "dropout": FloatDistribution(max(0.0, chosen.dropout - 0.2), min(0.8, chosen.dropout + 0.2)),
        "epochs": IntDistribution(max(1, chosen.epochs // 2), chosen.epochs + chosen.epochs // 2),
        "learning_rate": FloatDistribution(chosen.learning_rate / 2, chosen.learning_rate * 2, log=True),
        "weight_decay": FloatDistribution(chosen.weight_decay / 10, chosen.weight_decay * 10, log=True),
        "repeat_weight": CategoricalDistribution(sorted({0.0, 0.3, 1.0, chosen.repeat_weight})),
    }
    # Asked for the last item of each, a model is trained as training_choices says: on the very next, or on a basket.
    if strategy != "leave_one_out":
        space["answers"] = CategoricalDistribution(_near(chosen.answers, least=1))
        space["reach"] = CategoricalDistribution(_near(chosen.reach, least=1))
    given = {"dimension": bool(training.dimension), "epochs": bool(training.epochs)}
    given["dropout"] = training.dropout is not None
    return SearchSpace(chosen, {name: values for name, values in space.items() if not given.get(name)})


def _near(size: int, least: int, step: int = 1) -> list[int]:
    """Return half, or `least` if that is more, rounded up to a multiple of `step`; the same; and twice."""
    half = max(least, size // 2)
    return sorted({-(-half // step) * step, size, size * 2})
