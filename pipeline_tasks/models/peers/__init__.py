"""Peer models for comparison, with the interface of ours: SASRec, ALS and BPR, and a registry of all by name."""
