"""Work on many files in worker processes: probing, decoding, the clip cache, extraction and packing of features.

A bad file affects no other file.
"""
