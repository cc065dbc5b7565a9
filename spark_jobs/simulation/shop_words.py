"""The words of the simulated shop, its items by number, and random draws without state.

Every draw is a hash of the seed, a name and columns of the row. The content of a row therefore depends on the row
alone, and the same code runs on one core or on many.
"""

from dataclasses import dataclass
from typing import Final

from pyspark.sql import Column
from pyspark.sql import functions as F

# In the order of a user's journey.
CATEGORIES: Final = (
    ("Home", "Kitchen", "Teapot"),
    ("Home", "Kitchen", "Mug"),
    ("Garden", "Growing", "Planter"),
    ("Garden", "Growing", "Watering Can"),
    ("Outdoor", "Camping", "Tent"),
    ("Outdoor", "Camping", "Sleeping Bag"),
    ("Outdoor", "Hiking", "Backpack"),
    ("Outdoor", "Hiking", "Rain Jacket"),
    ("Home", "Living", "Lamp"),
    ("Home", "Living", "Cushion"),
    ("Office", "Desk", "Notebook"),
    ("Office", "Desk", "Fountain Pen"),
    ("Home", "Bedroom", "Blanket"),
    ("Home", "Bedroom", "Alarm Clock"),
    ("Toys", "Play", "Wooden Train"),
    ("Toys", "Play", "Puzzle"),
    ("Office", "Travel", "Suitcase"),
    ("Office", "Travel", "Wallet"),
    ("Garden", "Sitting", "Hammock"),
    ("Garden", "Sitting", "Lantern"),
)


STYLES: Final = (
    *("Rustic", "Minimal", "Vintage", "Nordic", "Floral", "Industrial"),
    *("Nautical", "Bohemian", "Art Deco", "Tropical", "Gothic", "Pastel"),
)


BRANDS: Final = (
    *("Ardenholm", "Brookfield", "Calder & Sons", "Dunmore", "Elkstone", "Fenwick"),
    *("Garrowby", "Hexworth", "Inverlay", "Jessop", "Kestrel", "Lindqvist"),
    *("Marlowe", "Northgate", "Oakhurst", "Penrose", "Quillby", "Ravensund"),
    *("Silverlea", "Thornbury", "Umberto", "Valdero", "Westerby", "Yarrow"),
)


COLORS: Final = ("Red", "Blue", "Green", "Black", "White", "Yellow", "Grey", "Copper", "Ivory", "Teal", "Rose", "Navy")


MATERIALS: Final = ("Oak", "Steel", "Linen", "Ceramic", "Leather", "Glass", "Bamboo", "Wool")


@dataclass(frozen=True)
class Chance:
    """Random draws of one shop."""

    seed: int

    def number(self, name: str, *of: Column) -> Column:
        """Return a 62-bit number >= 0."""
        return F.shiftrightunsigned(F.xxhash64(F.lit(self.seed), F.lit(name), *of), 2)

    def share(self, name: str, *of: Column) -> Column:
        """Return a double, uniform in [0, 1)."""
        return F.shiftrightunsigned(F.xxhash64(F.lit(self.seed), F.lit(name), *of), 11) / float(1 << 53)

    def below(self, limit: Column | int, name: str, *of: Column) -> Column:
        """Return a whole number, uniform in [0, limit)."""
        return F.floor(self.share(name, *of) * limit).cast("long")

    def happens(self, probability: float, name: str, *of: Column) -> Column:
        """Return true with the probability."""
        return self.share(name, *of) < probability


@dataclass(frozen=True)
class CatalogLayout:
    """Item i is in cell i % cells (a category in a style) at depth i // cells; its brand is depth % brands."""

    items: int
    """Number of items on the opening day."""

    @property
    def categories(self) -> int:
        """Number of categories, each with at least about 75 items, so that a small shop has neighbors in every one."""
        return min(len(CATEGORIES), max(3, self.items // 75))

    @property
    def styles(self) -> int:
        """Number of styles, with about 12 items per cell."""
        return min(len(STYLES), max(3, self.items // (self.categories * 12)))

    @property
    def brands(self) -> int:
        """Number of brands, with about two items per cell."""
        return min(len(BRANDS), max(3, self.items // (self.cells * 2)))

    @property
    def cells(self) -> int:
        """Number of cells: categories times styles."""
        return self.categories * self.styles

    def category(self, item: Column) -> Column:
        """Return the index of the item's category."""
        return item % self.categories

    def style(self, item: Column) -> Column:
        """Return the index of the item's style."""
        return F.floor((item % self.cells) / self.categories).cast("int")

    def brand(self, item: Column) -> Column:
        """Return the index of the item's brand."""
        return F.floor(item / self.cells) % self.brands

    def depth(self, cell: Column, catalog: Column) -> Column:
        """Return how many items of the cell a catalog of that size holds."""
        return F.floor((catalog - cell + (self.cells - 1)) / self.cells).cast("long")


def word(words: tuple[str, ...], index: Column) -> Column:
    """Return the word at the 0-based index."""
    return F.element_at(F.array(*(F.lit(text) for text in words)), index.cast("int") + 1)
