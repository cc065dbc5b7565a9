"""What one night gives a model to learn from: histories, impressions, queries, the catalog, the parts of the split."""
