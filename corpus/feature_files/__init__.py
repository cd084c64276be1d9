"""Pre-extracted features as archives ship them: one array (S, D) a video and stream, in HDF5, npz or npy files.

Letters: S rows in the order of time, which span their video evenly, D width.
"""
