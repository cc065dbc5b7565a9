"""The training data of one run: histories, impressions, ratings, typed queries, the catalog and the split."""
