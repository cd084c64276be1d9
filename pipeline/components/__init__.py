"""Slots and presets: finds the components that params.yaml chooses and reads their values.

The components live in `models` and `corpus`.
"""
