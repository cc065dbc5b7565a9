"""Skips candidates that would train the same model: without item texts, tuning the encoder changes nothing."""

from collections.abc import Sequence
from typing import Final, TypeVar

from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey

_Name = TypeVar("_Name", bound=str)
_FROZEN: Final = "frozen"
_TEXT_COLUMNS: Final = ("title", "category", "brand")


def worth_training(lake: Lake, run_key: RunKey, names: Sequence[str]) -> list[str]:
    """Return the candidates to train: all `names`, or only the one of `of_untitled` if no item has a text."""
    if len(names) < 2 or _has_texts(lake, run_key):
        return list(names)
    kept = of_untitled(names)
    skipped = ", ".join(name for name in names if name != kept)
    print(
        f"No item of {run_key.source} has a text on {run_key.ds}: {skipped} would train the same model as {kept}, "
        "so their training is skipped"
    )
    return [kept]


def of_untitled(names: Sequence[_Name]) -> _Name:
    """Return the candidate that represents all if no item has a text: the frozen encoder, else the first of `names`."""
    return next((name for name in names if name == _FROZEN), names[0])


def _has_texts(lake: Lake, run_key: RunKey) -> bool:
    items = lake.read("items", (run_key.ds, run_key.ds), ("item_id", *_TEXT_COLUMNS, "attributes"))
    if any(items[name].null_count < len(items) for name in _TEXT_COLUMNS):
        return True
    # Attributes may be numbers and identifiers only, which are not text.
    return any(make_catalog(items.to_pylist(), ()).texts)
