"""Lineage of a champion: the seal of a finished pipeline, the explanation of a version, and its rebuilding.

The comparison of challengers is `evaluation.gate`; the order of a retraining is `flows.retrain`.
"""
