"""The fields of mlflow/registry.yaml that decide when a version becomes champion. Contradictions are refused."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CHAMPION: Final = "champion"
"""Name of the present champion in the table of results."""
_LOWER_IS_BETTER: Final = ("mean_rank", "gini@10")


class SegmentHarm(BaseModel):
    """Limit on the loss of any segment against the present champion, whatever the others gain."""

    model_config = ConfigDict(extra="forbid")
    kind: str
    """history, activity, or a user attribute whose values enough users share."""
    most: float = Field(gt=0, lt=1)
    """Largest share of the champion's metric that a segment may lose. A loss within chance does not count."""
    at_least: int = Field(100, ge=2)
    """Segments of fewer users are not compared."""


class Promotion(BaseModel):
    """Conditions under which a version becomes champion."""

    model_config = ConfigDict(extra="forbid")
    task: Literal["served_test", "discovery_test", "repeats_test"]
    """Evaluation task. served_test evaluates the lists as the nightly tables serve them."""
    metric: str
    """A per-user metric of the table of results for which larger is better."""
    must_beat: list[str]
    """Baselines that the version must beat on the same users."""
    champion_rule: Literal["not_significantly_worse", "better"]
    floors: dict[str, float] = {}
    """Metric -> smallest value, on the same task: ndcg@10, coverage@10, …"""
    ceilings: dict[str, float] = {}
    """Metric -> largest value: gini@10, popularity_lift@10, …"""
    segment_harm: SegmentHarm | None = None
    suspicious_gain: float = Field(0.5, gt=0, le=1)
    """Closing more than this share of the gap from the best rival to a perfect score is treated as a leak."""

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> "Promotion":
        if self.metric in _LOWER_IS_BETTER:
            raise ValueError(f"promotion.metric is {self.metric}, for which less is better: put it into ceilings")
        if CHAMPION in self.must_beat:
            raise ValueError(
                f"promotion.must_beat has {CHAMPION}, which champion_rule {self.champion_rule} covers: remove it there"
            )
        for name in self.floors.keys() & self.ceilings.keys():
            if self.floors[name] > self.ceilings[name]:
                raise ValueError(
                    f"promotion.floors.{name} {self.floors[name]} is above promotion.ceilings.{name} "
                    f"{self.ceilings[name]}: nothing could pass"
                )
        return self
