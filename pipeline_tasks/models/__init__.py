"""One module or package per model."""
