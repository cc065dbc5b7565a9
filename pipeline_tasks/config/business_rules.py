"""The shop's rules for recommendations and the arms of its A/B tests, in one TOML file (`scoring.shelf_rules`).

    [exclude]
    blocked_items = ["P17"]                    # or blocked_items_file = "blocked.csv", column item_id
    blocked_categories = ["Toys > Play"]       # with everything below
    stock_file = "stock.csv"                   # item_id, stock: 0 or less is out of stock
    opt_outs_file = "opt_outs.csv"             # user_key, and item_id or category; neither: no recommendations at all

    [replenishable]
    attribute = "consumable"                   # true in items.attributes; without it, repurchases decide

    [shelf]
    mmr_lambda = 0.9
    max_per_category = 6

    [[arms]]
    name = "control"
    share = 0.5

    [[arms]]
    name = "explorer"
    share = 0.5
    exploration_share = 0.2

Paths are relative to the file. Values that an arm leaves out are those of [shelf].
"""

import hashlib
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

CONTROL: Final = "control"
"""The arm of all users where the file has no arms."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ExcludeRules(_Strict):
    """Items that must not be shown, to all users or to some."""

    blocked_items: list[str] = []
    blocked_items_file: Path | None = None
    blocked_categories: list[str] = []
    """Category paths; everything below them is blocked too."""
    stock_file: Path | None = None
    opt_outs_file: Path | None = None


class ReplenishRules(_Strict):
    """Items that may be recommended again right after a purchase."""

    attribute: str | None = None
    """Name of a Boolean in `items.attributes`. None: repurchases decide."""
    repurchase_share: float = Field(0.25, gt=0, le=1)
    """Share of an item's buyers who bought it again on a later day of the window."""
    min_buyers: int = Field(20, ge=1)
    """Items of fewer buyers are left out. With 20, a share of .25 lies between .11 and .47 (Wilson, 95 %)."""


class RecommendationPlan(_Strict):
    """How a list of recommendations is filled."""

    mmr_lambda: float = Field(0.9, ge=0, le=1)
    """Maximal marginal relevance: 1 orders by score alone, 0 by difference from the items already chosen. On validation
    of Complete Journey and Online Retail .9 costs 0.8 and 1.3 % of NDCG@10, .8 costs 2.6 and 1.5 %."""
    max_per_category: int | None = Field(None, ge=1)
    max_per_brand: int | None = Field(None, ge=1)
    candidates_per_slot: int = Field(5, ge=1)
    """Number of best-scored items that each slot is chosen from."""
    exploration_share: float = Field(0.1, ge=0, le=1)
    """Share of slots for new items, rounded down."""
    new_item_days: int = Field(14, ge=1)
    """Number of days for which an item is new after it was first seen."""

    @property
    def by_score_alone(self) -> bool:
        """Whether the list has the model's own order."""
        return self.mmr_lambda == 1 and self.max_per_category is None and self.max_per_brand is None


class Arm(_Strict):
    """One arm of an A/B test."""

    name: str = Field(min_length=1)
    share: float = Field(gt=0, le=1)
    plan: RecommendationPlan


class BusinessRules(_Strict):
    """All rules of the file."""

    experiment: str = "shelf"
    """Name of the A/B test. Another name assigns users to arms anew."""
    exclude: ExcludeRules = ExcludeRules()
    replenishable: ReplenishRules = ReplenishRules()
    arms: list[Arm] = [Arm(name=CONTROL, share=1, plan=RecommendationPlan())]

    @model_validator(mode="after")
    def _whole(self) -> "BusinessRules":
        total, names = sum(arm.share for arm in self.arms), [arm.name for arm in self.arms]
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the arms {names} add up to {total:g}: make their sum 1")
        if len(set(names)) < len(names):
            raise ValueError(f"arms {names} share a name: give each arm another name")
        return self

    def assign(self, user_keys: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the index in `arms` of each user. It depends on `experiment` and the user key alone."""
        bounds = np.cumsum([arm.share for arm in self.arms])[:-1]
        return np.searchsorted(bounds, [_share(self.experiment, key) for key in user_keys], side="right")


def load_business_rules(path: Path | None) -> BusinessRules:
    """Read the file; None gives the defaults.

    Raises:
        ValueError: it is missing, is not TOML, or has an invalid value; the message names file, key and value.
    """
    if path is None:
        return BusinessRules()
    try:
        found = tomllib.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"The business rules {path} do not exist: correct NIGHTSHELF_SCORING__SHELF_RULES") from None
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"The business rules {path} are not valid TOML: {error}") from None
    try:
        return BusinessRules.model_validate(_with_plans(found, path.resolve().parent))
    except ValidationError as error:
        raise ValueError(f"The business rules {path} are invalid: {'; '.join(map(_problem, error.errors()))}") from None


def _with_plans(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the file's content with a complete plan for every arm and an absolute path for every file."""
    base = found.pop("shelf", {})
    arms = found.pop("arms", [{"name": CONTROL, "share": 1.0}])
    exclude = found.get("exclude", {})
    files = {name: folder / value for name, value in exclude.items() if name.endswith("_file")}
    own = {"name", "share"}
    return found | {
        "exclude": exclude | files,
        "arms": [
            {name: arm[name] for name in own & set(arm)}
            | {"plan": base | {name: value for name, value in arm.items() if name not in own}}
            for arm in arms
        ],
    }


def _problem(error: Any) -> str:  # noqa: ANN401  # pydantic's ErrorDetails
    where = ".".join(str(part) for part in error["loc"] if part != "plan") or "the file"
    given = error["input"] if isinstance(error["input"], str | int | float) else type(error["input"]).__name__
    return f"{where} is {given}: {error['msg']}"


def _share(experiment: str, user_key: str) -> float:
    """Return a number in [0, 1) from a hash of both names; unlike hash(), it is the same in every process."""
    digest = hashlib.blake2b(f"{experiment}/{user_key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
