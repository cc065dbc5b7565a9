"""Models that ours must beat, under the same interface: SASRec, ALS, BPR, and every peer by its name."""
