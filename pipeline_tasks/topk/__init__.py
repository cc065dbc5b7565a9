"""Exact top-k of very many users and items, on processors and GPUs."""
