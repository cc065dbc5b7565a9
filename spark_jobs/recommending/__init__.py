"""Computes the nightly tables from the vectors of items and users."""
