"""What one night gives a model to learn from: histories, what was shown, rated and typed, the catalog, the split."""
