"""Promotion gate: compares a challenger with the champion on queries on which nothing else is chosen, and decides.

Pure functions and the answering of both sides. The registry, the flow and the record of decisions live elsewhere.
"""
