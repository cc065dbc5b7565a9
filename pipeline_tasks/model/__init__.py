"""The two-tower recommender: its towers, what they read, how they match, and how it is saved."""
