"""The registry of text encoders: one line per encoder in `TextEncoderParams`."""

from models.text_encoders.word_vectors import WordVectorsParams

TextEncoderParams = WordVectorsParams
