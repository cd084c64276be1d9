"""Metrics: pure NumPy functions over (predictions, ground truth), one module per subject and per public convention."""
