"""Trains the candidates of a nightly run, may search their options, and compares the best with the champion."""
