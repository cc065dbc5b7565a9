"""Exact top-k of very many shoppers and items, on processors and GPUs."""
