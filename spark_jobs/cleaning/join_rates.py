"""Checks that the ids of the events match those of the catalog and of the list of users that the shop delivers."""

import unicodedata
from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_tasks.lake.staging import StagedTable
from pipeline_tasks.run_key import RunKey
from spark_jobs.cleaning.map_catalog import map_users
from spark_jobs.common.stage_table import staged_columns
from spark_jobs.common.typed_columns import is_blank
from spark_jobs.landing.landing_reader import LandingReader

LEAST_ITEMS: Final = 0.5
"""Smallest share of the items of the events that must be in the catalog."""
LEAST_USERS: Final = 0.01
"""Smallest share of the users of the events that must be in the list; many shops describe few of their users."""
_EXAMPLES: Final = 3


def unmatched_items(landed: LandingReader, items: StagedTable) -> str | None:
    """Return a description of the mismatch, with example ids, where too few items are in the catalog; else None."""
    form = landed.source.items
    if form is None or form.path is None or not items.rows:
        return None
    rows = pa.concat_tables(staged_columns(file, "item_id", "listed", "last_seen") for file in items.files)
    seen, listed = pc.is_valid(rows["last_seen"]), pc.is_valid(rows["listed"])
    in_events, unlisted = rows.filter(seen), rows.filter(pc.and_(seen, pc.invert(listed)))
    if not len(in_events) or len(unlisted) <= (1 - LEAST_ITEMS) * len(in_events):
        return None
    unseen = rows.filter(pc.and_(listed, pc.invert(seen)))
    share = f"{len(unlisted):,} of the {len(in_events):,} items of the events are not in the catalog"
    return _in_words(share, _examples(unlisted["item_id"]), _examples(unseen["item_id"]))


def unmatched_users(landed: LandingReader, run: RunKey, users: StagedTable) -> str | None:
    """Return a description of the mismatch, with example ids, where too few users are in the list; else None."""
    form = landed.source.users
    if form is None or form.path is None or not form.attributes or not users.rows:
        return None
    rows = pa.concat_tables(staged_columns(file, "user_key", "attributes") for file in users.files)
    unknown = rows.filter(pc.is_null(rows["attributes"]))
    raw = landed.days("users", [run.ds])
    if raw is None or len(unknown) <= (1 - LEAST_USERS) * len(rows):
        return None
    named = (
        map_users(raw, landed.source, landed.normalize)
        .select("user_key")
        .dropna()
        .distinct()
        .orderBy("user_key")
        .limit(_EXAMPLES)
        .collect()
    )
    share = f"{len(unknown):,} of the {len(rows):,} users of the events have no attributes in the list of users"
    return _in_words(share, _examples(unknown["user_key"]), [row["user_key"] for row in named])


def has_irregular_ids(staged: StagedTable, column: str) -> bool:
    """Return whether an id of a table has white space around it, or is not in the Unicode normal form NFC."""
    for file in staged.files:
        ids = staged_columns(file, column)[column]
        unusual = pc.or_(
            pc.invert(pc.string_is_ascii(ids)), pc.match_substring_regex(ids, r"^[\x00-\x20\x7f]|[\x00-\x20\x7f]$")
        )
        if any(map(_is_irregular, ids.filter(unusual).to_pylist())):
            return True
    return False


def _is_irregular(key: str) -> bool:
    return any(map(is_blank, (key[0], key[-1]))) or not unicodedata.is_normalized("NFC", key)


def _examples(ids: pa.ChunkedArray) -> list[str]:
    return [str(one) for one in sorted(ids.to_pylist())[:_EXAMPLES]]


def _in_words(share: str, of_events: Sequence[str], of_list: Sequence[str]) -> str:
    sides = f"events have {', '.join(map(repr, of_events))}, the list {', '.join(map(repr, of_list)) or 'no others'}"
    return f"{share}: {sides}{_cause(of_events, of_list)}"


def _cause(of_events: Sequence[str], of_list: Sequence[str]) -> str:
    """Return the likely cause of the mismatch, empty where the examples show none."""
    for these, those, side in ((of_events, of_list, "events"), (of_list, of_events, "list")):
        if these and those:
            if all(one.endswith(".0") for one in these) and not any(one.endswith(".0") for one in those):
                return f" (a column of numbers became one of floats in the {side}: regexp_replace(id, '[.]0$', ''))"
            if all(one.startswith("0") for one in these) and not any(one.startswith("0") for one in those):
                return f" (leading zeros in the {side} alone)"
    lower = {one.lower() for one in of_list}
    if any(one.lower() in lower for one in of_events):
        return " (they differ in capital letters)"
    return ""
