"""Pre-extracted features from published archives: one array (S, D) per video and stream, in HDF5, npz or npy files.

Letters: S rows in order of time, which span their video evenly; D width.
"""
