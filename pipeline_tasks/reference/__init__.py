"""Renders the pages below docs/reference/ from the code."""
