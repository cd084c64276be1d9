"""Training-free localizers: each reads moments off the curve of a sentence's similarity with the cells of a video.

`similarity` holds the curve that all of them read; every other module is one readout.
"""
