"""One interface for every scorer, its peers, metrics, intervals, leak probes and reports."""
