"""Execution of stages: params, paths, code identity, executors, tracking, DVC and process care.

Nothing here affects a figure; the computations of a stage live in `corpus`, `models`, `search` and `evaluation`.
"""
