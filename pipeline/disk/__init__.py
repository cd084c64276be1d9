"""Disk space: checks the room before a commit, and explains errors of a full disk."""
