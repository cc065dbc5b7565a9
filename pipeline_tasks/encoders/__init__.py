"""Pre-trained text and image encoders, and stage 1 of training, which fine-tunes the text encoder."""
