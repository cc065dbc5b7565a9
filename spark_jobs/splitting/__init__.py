"""Finds the cut-offs of a split and builds the sequences of users and sessions."""
