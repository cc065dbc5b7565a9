"""Finds the items that the shop's rules exclude, for all users or for single users.

For all users these are blocked items, items of blocked categories, items out of stock, and items that the shop's
catalog no longer lists. For single users these are the items that they opted out of. Ids that are not in the catalog
are counted and ignored, because a list of blocked items may be older than the catalog.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline_tasks.config.business_rules import ExcludeRules
from pipeline_tasks.data.interactions import Flags
from pipeline_tasks.topk.arrays import Exclusions

OPT_OUTS = pa.schema([("user_key", pa.string()), ("item_id", pa.string())])
"""A NULL item_id means that the user wants no recommendations at all."""


@dataclass
class Excluded:
    """The excluded items of one day."""

    items: dict[str, str]
    """Item -> the rule that excludes it for all users: blocked, blocked_category, out_of_stock or delisted."""
    opt_outs: pa.Table
    """Rows of schema OPT_OUTS."""
    unknown: dict[str, list[str]] = field(default_factory=dict)
    """List -> its ids (or categories) that are not in the catalog."""

    def describe(self) -> dict[str, str]:
        """Return the counts as facts of a manifest."""
        counts = dict.fromkeys(("blocked", "blocked_category", "out_of_stock", "delisted"), 0)
        for rule in self.items.values():
            counts[rule] += 1
        facts = {f"items_{rule}": str(count) for rule, count in counts.items()} | {"opt_outs": str(len(self.opt_outs))}
        return facts | {f"unknown_in_{name}": str(len(ids)) for name, ids in self.unknown.items()}


def find_excluded(rules: ExcludeRules, catalog: pa.Table) -> Excluded:
    """Return the items in `catalog` (rows of the table `items`) that the rules exclude.

    Raises:
        ValueError: a file of the rules cannot be read, or lacks a column.
    """
    ids: list[str] = catalog["item_id"].to_pylist()
    excluded = Excluded(dict.fromkeys(_delisted(catalog), "delisted"), OPT_OUTS.empty_table())
    stock = _read(rules.stock_file, "item_id", "stock") if rules.stock_file else []
    sold_out = [str(row["item_id"]) for row in stock if _stock(row, rules.stock_file) <= 0]
    _add(excluded, "out_of_stock", "stock_file", sold_out, ids)
    below = _below(catalog, rules.blocked_categories)
    for category, members in below.items():
        _add(excluded, "blocked_category", "blocked_categories", members or [category], ids)
    listed = _read(rules.blocked_items_file, "item_id") if rules.blocked_items_file else []
    _add(excluded, "blocked", "blocked_items", [*rules.blocked_items, *(str(row["item_id"]) for row in listed)], ids)
    if rules.opt_outs_file:
        excluded.opt_outs = _opt_outs(_read(rules.opt_outs_file, "user_key"), catalog, excluded)
    return excluded


def only(exclusions: Exclusions, kept: Flags) -> Exclusions:
    """Return the exclusions for which `kept` is true."""
    before = np.concatenate([[0], np.cumsum(kept)])
    return Exclusions(before[exclusions.starts], exclusions.items[kept])


def joined(first: Exclusions, second: Exclusions) -> Exclusions:
    """Return the items that either excludes, for the same users."""
    sizes = [np.diff(each.starts) for each in (first, second)]
    owners = np.concatenate([np.repeat(np.arange(len(size)), size) for size in sizes])
    order = np.argsort(owners, kind="stable")
    return Exclusions(first.starts + second.starts, np.concatenate([first.items, second.items])[order])


def _add(excluded: Excluded, rule: str, listing: str, found: Iterable[str], known: list[str]) -> None:
    catalog = set(known)
    for item_id in dict.fromkeys(found):
        if item_id in catalog:
            excluded.items[item_id] = rule
        else:
            excluded.unknown.setdefault(listing, []).append(item_id)


def _delisted(catalog: pa.Table) -> list[str]:
    """Return the items that an earlier day's catalog listed and this one does not."""
    if "listed" not in catalog.column_names:
        # Items of an earlier version have no column `listed`.
        return []
    ids: list[str] = catalog.filter(pc.invert(catalog["listed"]))["item_id"].to_pylist()
    return ids


def _below(catalog: pa.Table, categories: list[str]) -> dict[str, list[str]]:
    """Return the items of each category and of all categories below it."""
    members: dict[str, list[str]] = {category: [] for category in categories}
    for item_id, path in zip(catalog["item_id"].to_pylist(), catalog["category"].to_pylist(), strict=True):
        for category in categories:
            if path == category or (path or "").startswith(f"{category} > "):
                members[category].append(item_id)
    return members


def _opt_outs(rows: list[dict[str, str | None]], catalog: pa.Table, excluded: Excluded) -> pa.Table:
    wanted = sorted({str(row["category"]) for row in rows if row.get("category")})
    below, known = _below(catalog, wanted), set(catalog["item_id"].to_pylist())
    pairs: list[tuple[str, str | None]] = []
    for row in rows:
        user, item, category = str(row["user_key"]), row.get("item_id"), row.get("category")
        if item in known or not (item or category):
            pairs.append((user, item))
        pairs += [(user, member) for member in below.get(category or "", ())]
        unknown = [item] if item and item not in known else []
        unknown += [category] if category and not below[category] else []
        if unknown:
            excluded.unknown.setdefault("opt_outs_file", []).extend(unknown)
    users, items = zip(*dict.fromkeys(pairs), strict=True) if pairs else ((), ())
    return pa.table([pa.array(users, pa.string()), pa.array(items, pa.string())], schema=OPT_OUTS)


def _read(path: Path, *columns: str) -> list[dict[str, str | None]]:
    """Return the rows of a CSV or Parquet file as text, empty fields as None."""
    try:
        table = pq.read_table(path) if path.suffix == ".parquet" else _read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ValueError(f"The file {path} of the business rules cannot be read: {error}") from None
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise ValueError(f"The file {path} of the business rules has no column {missing[0]!r}: {table.column_names}")
    rows: list[dict[str, str | None]] = pa.table(
        {name: pc.cast(table[name], pa.string()) for name in table.column_names}
    ).to_pylist()
    return [{name: value or None for name, value in row.items()} for row in rows]


def _read_csv(path: Path) -> pa.Table:
    """Read every column as text. Read as numbers, ids would lose leading zeros, and an id NA would become NULL."""
    with pa_csv.open_csv(path) as reader:
        types = dict.fromkeys(reader.schema.names, pa.string())
    options = pa_csv.ConvertOptions(column_types=types, strings_can_be_null=True, null_values=[""])
    return pa_csv.read_csv(path, convert_options=options)


def _stock(row: dict[str, str | None], path: Path | None) -> float:
    try:
        stock = float(row["stock"] or 0)
    except ValueError:
        stock = math.nan
    if math.isnan(stock):
        raise ValueError(
            f"{path}: stock of {row['item_id']} is {row['stock']!r}, not a number: correct it, or leave it empty "
            "where there is no stock"
        )
    return stock
