"""Sound of video files: samples on the time axis of the pictures, and the input clips of sound encoders.

Sound is float32 in [-1, 1]. Every sample lies within 10 ms of its time on the one clock of `corpus.media.files`.
"""
