"""Facts that a run keeps with a snapshot, as snapshot properties with the prefix `nightshelf.`."""

from collections.abc import Mapping
from typing import Final

from pyiceberg.table.snapshots import Snapshot

_PREFIX: Final = "nightshelf."


def as_properties(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts as snapshot properties."""
    return {f"{_PREFIX}{name}": value for name, value in facts.items()}


def facts_of(snapshot: Snapshot) -> dict[str, str]:
    """Return the facts of a snapshot."""
    properties = snapshot.summary.additional_properties if snapshot.summary else {}
    return {name.removeprefix(_PREFIX): value for name, value in properties.items() if name.startswith(_PREFIX)}
