"""Stage 2 of training: the sequence model over ready item vectors, from the choice of its options to the kept epoch."""
