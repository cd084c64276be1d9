"""Search engine without HTTP: bundle, networks, clip index, two-stage search, calibration and folder index.

It runs without torch and without the training tools; the service around it lives in `serving`.
"""
