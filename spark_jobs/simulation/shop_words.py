"""The words of the simulated shop, and the category, style and brand of an item by its number."""

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
