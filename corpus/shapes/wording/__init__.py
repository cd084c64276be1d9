"""Sentences of the drawn corpus: meaning, grammar and words, and the questions about a scene."""
