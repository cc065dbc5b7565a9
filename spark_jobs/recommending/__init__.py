"""Computes the tables of recommendations, profiles, forecasts and search from the vectors of items and users."""
