"""Base classes of text encoders: sources, frozen towers and word vectors."""
