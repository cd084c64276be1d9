"""Answers: a predictor over a bundle, the clip index and the service. Runs without torch."""
