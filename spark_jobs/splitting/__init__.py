"""Finds the cut-offs in time and builds the sequences of users."""
