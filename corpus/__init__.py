"""Data of the project: moments and queries, annotation readers, media, feature store, the drawn corpus."""
