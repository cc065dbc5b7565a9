"""How a shop describes its files, and what of them has been landed."""
