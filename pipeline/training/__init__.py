"""Execution of trainings: inputs, plans, resumable states, tracked runs, and the files of the result.

The training loop is in `models.training` and `models.objectives`.
"""
