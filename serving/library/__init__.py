"""The videos that a service searches and plays: those of its index, and uploads, kept on disk as they come and go."""
