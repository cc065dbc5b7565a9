"""Which of a night's candidates are worth training: where no item has a text, all ways to tune the encoder are one."""

from collections.abc import Sequence
from typing import Final, TypeVar

from pipeline_tasks.data.item_catalog import catalog_of
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey

_Name = TypeVar("_Name", bound=str)
_FROZEN: Final = "frozen"
_SPOKEN: Final = ("title", "category", "brand")


def worth_training(lake: Lake, night: RunKey, names: Sequence[str]) -> list[str]:
    """Return `names`, or the frozen encoder (the first of `names` where it is not among them) of untitled items."""
    if len(names) < 2 or _has_texts(lake, night):
        return list(names)
    kept = of_untitled(names)
    left = ", ".join(name for name in names if name != kept)
    said = f"training {left} would be training {kept} again, and is left out"
    print(f"No item of {night.source} has a text on {night.ds}: {said}")
    return [kept]


def of_untitled(names: Sequence[_Name]) -> _Name:
    """Return the candidate that stands for all where no item has a text: the frozen encoder, else the first."""
    return next((name for name in names if name == _FROZEN), names[0])


def _has_texts(lake: Lake, night: RunKey) -> bool:
    items = lake.read("items", (night.ds, night.ds), ("item_id", *_SPOKEN, "attributes"))
    if any(items[name].null_count < len(items) for name in _SPOKEN):
        return True
    # Attributes may be bare numbers and identifiers, which are no text.
    return any(catalog_of(items.to_pylist(), ()).texts)
