"""Indexing of videos: encodes files with the networks of a bundle, and keeps the index of a folder up to date."""
