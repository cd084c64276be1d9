"""The videos that a service searches and plays: those of its index, and uploads, with their state on disk."""
