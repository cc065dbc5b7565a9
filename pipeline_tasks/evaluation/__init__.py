"""Offline evaluation: the scorer interface, baselines, metrics, intervals, leak probes and reports."""
