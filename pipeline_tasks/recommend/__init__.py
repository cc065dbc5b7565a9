"""Makes recommendations from vectors: offered items, the shop's rules, diversity and reasons."""
