"""Simulates a shop of any size: its catalog, users, sessions and bots."""
