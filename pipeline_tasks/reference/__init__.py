"""The pages below docs/reference/ that are rendered from the code."""
