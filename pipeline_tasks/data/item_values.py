"""What a row of `items` says of its item: structured values that items share, and words that describe it."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

IMAGE: Final = "image"
"""The attribute that names an item's picture: a path or URI, neither a value nor a word."""
_LEVEL: Final = " > "

Row = Mapping[str, Any]


def item_values(row: Row) -> tuple[str, ...]:
    """Return "name=value" of every level of the category, the brand, the price and each attribute, lists one by one.

    A price stands for all prices within a factor of 1.19 of 2^(n/2): what a user would call the same.
    """
    levels = [level.strip() for level in str(row.get("category") or "").split(_LEVEL) if level.strip()]
    values = [f"category={_LEVEL.join(levels[: depth + 1])}" for depth in range(len(levels))]
    values += [f"brand={row['brand']}"] if row.get("brand") else []
    price = row.get("price")
    values += [f"price=2^{round(2 * math.log2(price)) / 2:g}"] if price and price > 0 else []
    values += [f"{name}={value}" for name, value in _attributes(row)]
    return tuple(dict.fromkeys(value.casefold() for value in values))


def shared_values(items: Iterable[Iterable[str]]) -> set[str]:
    """Return the values that at least two items have. What one item has alone is its name, and says nothing of it."""
    counts = Counter(value for values in items for value in values)
    return {value for value, count in counts.items() if count > 1}


def describe_item(row: Row) -> str:
    """Return all that the shop says: "{title}. {category path}. {brand}. {attributes}", what is NULL left out."""
    return _joined(row, _attributes(row))


def words_of(row: Row, shared: set[str]) -> str:
    """Return what a text encoder can read of the row: `describe_item` without identifiers and bare numbers.

    An attribute's value counts when it holds a letter, and is either shared by items or of several words: of Amazon's
    untitled items ("asin: B0048KGFHU", "attributes: 317, 2, 3") nothing is left, and they have no text.
    """
    spoken = [
        (name, value)
        for name, value in _attributes(row)
        if any(map(str.isalpha, value)) and (" " in value or f"{name}={value}".casefold() in shared)
    ]
    return _joined(row, spoken)


def image_of(row: Row) -> str | None:
    """Return the path or URI of the item's picture, None where there is none."""
    given = json.loads(row["attributes"]).get(IMAGE) if row.get("attributes") else None
    return str(given) if given else None


def _joined(row: Row, attributes: Iterable[tuple[str, str]]) -> str:
    named: dict[str, list[str]] = {}
    for name, value in attributes:
        named.setdefault(name, []).append(value)
    parts = [str(row[name]).strip() for name in ("title", "category", "brand") if row.get(name)]
    return ". ".join([*parts, *(f"{name}: {', '.join(values)}" for name, values in named.items())])


def _attributes(row: Row) -> Iterator[tuple[str, str]]:
    attributes = json.loads(row["attributes"]) if row.get("attributes") else {}
    for name, given in attributes.items():
        for value in given if isinstance(given, list) else [given]:
            if name != IMAGE and isinstance(value, str | int | float) and str(value).strip():
                yield name, str(value).strip()
