"""The fields of mlflow/registry.yaml that say when a version becomes champion; contradictions are refused."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

CHAMPION: Final = "champion"
"""Name of the present champion in the table of results."""
_LOWER_IS_BETTER: Final = ("mean_rank", "gini@10")


class SegmentHarm(BaseModel):
    """No segment may lose too much against the present champion, however much the others gain."""

    model_config = ConfigDict(extra="forbid")
    kind: str
    """history, activity, or an attribute of users that enough of them share."""
    most: float = Field(gt=0, lt=1)
    """Largest share of the champion's metric that a segment may lose; a loss within chance is none."""
    at_least: int = Field(100, ge=2)
    """Segments of fewer users are not judged."""


class Promotion(BaseModel):
    """When a version becomes champion."""

    model_config = ConfigDict(extra="forbid")
    task: Literal["served_test", "discovery_test", "repeats_test"]
    """served_test is judged by the lists that the nightly tables serve."""
    metric: str
    """Any metric per user of the table of results of which more is better."""
    must_beat: list[str]
    """Baselines that it must be better than on the same users."""
    champion_rule: Literal["not_significantly_worse", "better"]
    floors: dict[str, float] = {}
    """Metric -> least value, of the same task: ndcg@10, coverage@10, …"""
    ceilings: dict[str, float] = {}
    """Metric -> largest value: gini@10, popularity_lift@10, …"""
    segment_harm: SegmentHarm | None = None
    suspicious_gain: float = Field(0.5, gt=0, le=1)
    """Closing more than this share of the gap between the best rival and a perfect score is taken for a leak."""

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> "Promotion":
        if self.metric in _LOWER_IS_BETTER:
            raise ValueError(f"promotion.metric is {self.metric}, of which less is better: name it in ceilings")
        if CHAMPION in self.must_beat:
            raise ValueError(f"promotion.must_beat names {CHAMPION}, whom champion_rule {self.champion_rule} judges")
        for name in self.floors.keys() & self.ceilings.keys():
            if self.floors[name] > self.ceilings[name]:
                raise ValueError(
                    f"promotion.floors.{name} {self.floors[name]} is above promotion.ceilings.{name} "
                    f"{self.ceilings[name]}: nothing could pass"
                )
        return self
