"""The models: the two-tower recommender, item-to-item models, repeat model, intent, forecast, search and peers."""
