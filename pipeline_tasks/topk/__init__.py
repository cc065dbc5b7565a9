"""Exact top-k of many users and items by dot product, on CPUs and GPUs."""
