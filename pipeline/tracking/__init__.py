"""Run tracking and the model registry.

The only package that imports MLflow; a tracking server that fails never stops a stage.
"""
