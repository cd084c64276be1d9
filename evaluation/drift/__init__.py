"""Drift statistics: does a window of traffic differ from a reference, and which requests are odd. No files and no clock."""
