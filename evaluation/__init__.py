"""Evaluation: questions, predictions, calibration, and the scores of the localizer, its floors and the collection search.

It reads trained models and features; it knows no params file, no run tracking and no serving.
"""
