"""Settings of fine-tuning. Values that are 0 or unset are chosen from the log (see training/training_choices)."""

import math
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from pipeline_tasks.config.setting_names import SettingsGroup

EVENT_WEIGHTS: Final = {"view": 0.4, "click": 0.5, "cart": 1.0, "purchase": 2.0, "rating": 1.0}
"""Events nearer to a purchase weigh more, because they express interest more surely."""
NEXT_ITEM: Final = "next_item"
BINARY_TASKS: Final = ("purchase_intent", "session_converts", "click", "rating")
"""Whether the user buys within 7 days, the session ends in a purchase, a shown item is clicked, and a rated item is
liked. Each is a module of models/task_heads."""
TASKS: Final = (NEXT_ITEM, *BINARY_TASKS)
"""next_item is a softmax over the catalog. The others are binary cross-entropies."""
ONLY_NEXT_ITEM: Final = {NEXT_ITEM: 1.0}
MatchingName = Literal["dot", "weighted_dot", "inverse_distance", "additive"]
"""How a user vector and an item vector make a score: pipeline_tasks/models/two_tower/matching.py."""
CandidateName = Literal["frozen", "lora", "last_layers", "full"]
"""Which part of the text encoder is fine-tuned: none, adapters, its last blocks, or all of it."""
ATTENTION_HEADS: Final = 4
"""Attention heads of one ensemble member."""


def complete_weights(given: Mapping[str, float]) -> dict[str, float]:
    """Return the weight of every event type: the given one, else that of EVENT_WEIGHTS.

    Raises:
        ValueError: an unknown type, a weight that is negative or not finite, or no weight above 0.
    """
    if unknown := sorted(set(given) - set(EVENT_WEIGHTS)):
        raise ValueError(f"event_weights has {', '.join(unknown)}: weights exist for {', '.join(EVENT_WEIGHTS)}")
    if wrong := {name: weight for name, weight in given.items() if not (math.isfinite(weight) and weight >= 0)}:
        raise ValueError(f"event_weights {wrong}: a weight is 0 (not learned from) or a positive number")
    complete = {name: float(given.get(name, weight)) for name, weight in EVENT_WEIGHTS.items()}
    if not any(complete.values()):
        raise ValueError("event_weights are all 0: set at least one to a positive number")
    return complete


def complete_tasks(given: Mapping[str, float]) -> dict[str, float]:
    """Return the weights above 0; next_item has weight 1 unless it is given.

    Raises:
        ValueError: a task is unknown, a weight is negative or not finite, or next_item has weight 0.
    """
    if unknown := sorted(set(given) - set(TASKS)):
        raise ValueError(f"task_weights has unknown {', '.join(unknown)}: there are {', '.join(TASKS)}")
    if wrong := {name: weight for name, weight in given.items() if not (math.isfinite(weight) and weight >= 0)}:
        raise ValueError(f"task_weights {wrong}: a weight is 0 (not learned) or a positive number")
    weights = ONLY_NEXT_ITEM | dict(given)
    if not weights[NEXT_ITEM]:
        others = ", ".join(sorted(set(given) - {NEXT_ITEM})) or "nothing"
        raise ValueError(
            f"task_weights sets next_item to 0, with {others}: every table is computed from next_item; give it a weight"
        )
    return {name: float(weight) for name, weight in weights.items() if weight}


def reject_contradictions(tasks: Mapping[str, float], strategy: str) -> None:
    """Raise ValueError where a task needs labels that the split hides."""
    others = sorted(set(tasks) - {NEXT_ITEM})
    if others and strategy != "temporal":
        raise ValueError(
            f"training.task_weights has {', '.join(others)}, but split.strategy is {strategy}, which hides the events "
            f"after a user's last training event, so labels are unknown: set it to temporal, or keep next_item only"
        )


def _none_or_eight(pairs: int) -> int:
    """Return the number of pairs. Raises ValueError for 1 to 7, which give too few negatives."""
    if 0 < pairs < 8:
        raise ValueError(f"training.encoder_pairs is {pairs}: set 8 or more, or 0 to have it chosen")
    return pairs


class TrainingSettings(SettingsGroup):
    """Fine-tuning of the two-tower recommender."""

    candidates: list[CandidateName] = ["frozen", "lora"]
    """Candidates, trained side by side as mapped tasks; the best on validation is evaluated. A small shop trains
    `frozen` alone where it is one of them."""
    epochs: int = Field(0, ge=0)
    """Passes over the training sequences (stage 2); early stopping may end it before. 0: chosen from the log, as is
    every other setting that is 0 or unset here (see training_choices)."""
    encoder_steps: int = Field(0, ge=0)
    """Steps of the encoder's own fine-tuning (stage 1, every candidate but frozen), of `encoder_pairs` each. 0: chosen
    by the device (see candidates/encoded_catalog.py)."""
    encoder_pairs: Annotated[int, AfterValidator(_none_or_eight)] = Field(0, ge=0)
    """Pairs of items in a step of stage 1, 8 at least; every other text is a negative. More than 256 texts are encoded
    in parts, twice: larger batches cost time and no memory. 0: chosen by the device."""
    encoder_layers: int = Field(2, ge=1)
    """Number of last blocks of the encoder that the candidate last_layers tunes."""
    encoder: str = "all-MiniLM-L6-v2"
    """The packaged default encoder, or any Hugging Face id or path."""
    image_encoder: str = ""
    """Hugging Face id or path of a vision model for the pictures that items name. Empty: no pictures are read."""
    profile_attributes: list[str] | None = None
    """User attributes that the model may read, as the source's `[users.attributes]` names them. Unset: all whose values
    20 users or more share; []: none."""
    read_queries: bool = False
    """Whether the user tower reads queries, where the log has them. It then reacts to a query at once, but it cost the
    simulated shop .005 to .008 of .093 in NDCG@10 on validation (docs/experiments/user-inputs.md)."""
    dimension: int = Field(0, ge=0)
    """Width d of the towers' vectors, all members together."""
    members: int = Field(0, ge=0)
    """Number of towers that are trained side by side, each of width dimension / members; their mean is the score."""
    max_length: int = Field(0, ge=0)
    """Number of most recent events of a history that the user tower reads."""
    dropout: float | None = Field(None, ge=0, lt=1)
    """Dropout of the user tower."""
    cold_bias: float | None = None
    """Added to the scores of items that are new since training, in units of the spread of a user's scores. Unset:
    chosen on validation."""
    new_item_cost: float = Field(0.02, ge=0, lt=1)
    """Largest share of NDCG@10 on validation that showing new items may cost."""
    repeats: bool | None = None
    """Whether previously purchased and viewed items get an additive term. Unset: chosen from the log."""
    search_trials: int = Field(0, ge=0)
    """Optuna trials for every candidate, around the options that are chosen from the log. 0: no search."""
    search_minutes: float = Field(60, gt=0)
    """Time limit of a candidate's search; the running trial ends with its epoch."""
    matching: MatchingName = "dot"
    """How the two towers' vectors make a score; additive is not a dot product and costs a tanh per hidden number."""
    task_weights: Annotated[dict[str, float], AfterValidator(complete_tasks)] = ONLY_NEXT_ITEM
    """Tasks of the towers and their weights: next_item, purchase_intent, session_converts, click, rating."""
    liked_rating: float | None = None
    """Task rating: from this value on, a rating counts as liked. Unset: the value that cuts the log's ratings nearest
    in half (see data/ratings.py)."""
    event_weights: Annotated[dict[str, float], AfterValidator(complete_weights)] = EVENT_WEIGHTS
    """Weight of a target by its event type; types that are not named keep their default, 0 is not learned from."""
    seed: int = 1
    """Seed of initialization, dropout and batch order."""
    threads: int = Field(0, ge=0)
    """torch threads; 0 is all cores of the machine."""
    processes: int = Field(0, ge=0)
    """Processes that train one candidate together, each on a GPU of its own; 0 is one for each GPU of the machine."""
    micro_batch: int = Field(0, ge=0)
    """Positions of histories that are computed at a time: less memory, the same gradient. 0: a whole batch."""
    negatives: int = Field(0, ge=0)
    """Sampled items in a step's softmax. 0: chosen from the catalog's size. As many as there are items, or more, is the
    whole catalog."""
    retrain_every_days: int = Field(1, ge=1)
    """A retrain is due when the champion is this old, or was made from another split."""
    require_win: bool = True
    """Promote only a model that beats the baselines of mlflow/registry.yaml; false is for trying out a tiny shop."""

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> "TrainingSettings":
        if self.members > 1 and self.matching != "dot":
            raise ValueError(
                f"training.members is {self.members}, but training.matching {self.matching}: only dot products of "
                "members add up to one; set matching to dot, or members to 1"
            )
        if heads := sorted(set(self.task_weights) - {NEXT_ITEM}) if self.members > 1 else []:
            raise ValueError(
                f"training.members is {self.members}, but training.task_weights has {', '.join(heads)}, whose heads "
                "read one tower: leave them out, or set members to 1"
            )
        members = max(1, self.members)
        if self.dimension % (ATTENTION_HEADS * members):
            raise ValueError(
                f"training.dimension is {self.dimension}, which training.members, {members} of {ATTENTION_HEADS} "
                f"attention heads each, cannot share: make it a multiple of {ATTENTION_HEADS * members}"
            )
        return self
