"""Stage 2 of training: fits the two-tower model on item vectors, from the choice of its options to the best epoch."""
