"""What a night keeps with a snapshot: facts, as properties under a name of ours."""

from collections.abc import Mapping
from typing import Final

from pyiceberg.table.snapshots import Snapshot

_PREFIX: Final = "nightshelf."


def as_properties(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the facts as snapshot properties."""
    return {f"{_PREFIX}{name}": value for name, value in facts.items()}


def facts_of(snapshot: Snapshot) -> dict[str, str]:
    """Return the facts that were kept with a snapshot."""
    told = snapshot.summary.additional_properties if snapshot.summary else {}
    return {name.removeprefix(_PREFIX): value for name, value in told.items() if name.startswith(_PREFIX)}
