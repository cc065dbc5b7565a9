"""Skips candidates that cannot pay: without item texts, or in a small shop, tuning the encoder gains nothing."""

from collections.abc import Sequence
from typing import Final, TypeVar

from pipeline_tasks.data.item_catalog import make_catalog
from pipeline_tasks.lake.lake import Lake
from pipeline_tasks.run_key import RunKey

MIN_EVENTS: Final = 100_000
"""Minimum number of train events to tune an encoder beside the frozen one (docs/experiments/encoder.md)."""
MIN_TEXTS: Final = 1_000
"""Minimum number of distinct texts to tune an encoder on. With fewer, each has many events, so its id says more."""
_Name = TypeVar("_Name", bound=str)
_FROZEN: Final = "frozen"
_TEXT_COLUMNS: Final = ("title", "category", "brand")


def worth_training(lake: Lake, run_key: RunKey, names: Sequence[str]) -> list[str]:
    """Return the candidates to train: all `names`, or one that represents them; print why others are skipped.

    If no item has a text, the one is that of `of_untitled`. In a shop below MIN_EVENTS or MIN_TEXTS it is the frozen
    encoder, if `names` has it. A single candidate is always trained.
    """
    if len(names) < 2:
        return list(names)
    texts = _distinct_texts(lake, run_key)
    if not texts:
        kept = of_untitled(names)
        reason = f"No item of {run_key.source} has a text on {run_key.ds}: {{}} would train the same model as {kept}"
    elif _FROZEN in names and (small := _small_shop_reason(lake, run_key, texts)):
        kept, reason = _FROZEN, f"{small}: nothing is gained by {{}} in so small a shop"
    else:
        return list(names)
    skipped = [name for name in names if name != kept]
    print(reason.format(", ".join(skipped)) + ", so their training is skipped")
    if texts:
        print(f"To train one of them, choose it alone: candidates={skipped[0]}")
    return [kept]


def of_untitled(names: Sequence[_Name]) -> _Name:
    """Return the candidate that represents all if no item has a text: the frozen encoder, else the first of `names`."""
    return next((name for name in names if name == _FROZEN), names[0])


def _small_shop_reason(lake: Lake, run_key: RunKey, texts: int) -> str | None:
    """Return why a tuned encoder cannot pay, None where it may."""
    events = sum(lake.read("splits", (run_key.ds, run_key.ds), ("train_events",))["train_events"].to_pylist())
    shop = f"{run_key.source} {run_key.ds}"
    if events < MIN_EVENTS:
        return f"The train part of {shop} has {events:,} events, fewer than {MIN_EVENTS:,}"
    return f"Items of {shop} have {texts:,} texts, fewer than {MIN_TEXTS:,}" if texts < MIN_TEXTS else None


def _distinct_texts(lake: Lake, run_key: RunKey) -> int:
    """Return the number of items that differ in title, category, brand or attributes; 0 if no item has a text."""
    columns = [*_TEXT_COLUMNS, "attributes"]
    items = lake.read("items", (run_key.ds, run_key.ds), ("item_id", *columns))
    # Attributes may be numbers and identifiers only, which are not text.
    if all(items[name].null_count == len(items) for name in _TEXT_COLUMNS):
        return len(set(filter(None, make_catalog(items.to_pylist(), ()).texts)))
    return int(items.group_by(columns).aggregate([]).num_rows)
