"""Texts and pictures as vectors: the pre-trained encoders, and stage 1 of training, which fine-tunes them."""
