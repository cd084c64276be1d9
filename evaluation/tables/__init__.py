"""Tables of an evaluation: scores with intervals, slices, the collection search and the QVHighlights convention.

`evaluation` decides what is scored; pages and pictures are in `evaluation.report`.
"""
