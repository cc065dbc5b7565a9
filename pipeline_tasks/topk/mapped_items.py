"""Items that nobody can write to, as the key of what was prepared from them."""

from dataclasses import dataclass, field

from pipeline_tasks.topk.arrays import Vectors


@dataclass(frozen=True)
class MappedItems:
    """The same address is the same items as long as they are held here."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    items: Vectors = field(compare=False, repr=False)


def mapped(items: Vectors) -> MappedItems | None:
    """Return the key of items that cannot be written to, as a shelf's are; None of others, which could change."""
    if items.flags.writeable:
        return None
    return MappedItems(items.ctypes.data, items.shape, items.strides, items)
