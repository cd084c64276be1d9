"""Zero-shot search by the names of classes: a picture classifier and a sentence encoder that were never trained together.

The recipe, its bundle, index and predictor live here; fetching and converting published weights does not (`pipeline.models`).
"""
