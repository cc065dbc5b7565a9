"""The shelves: vectors of the night, the shop's rules, variety, reasons."""
