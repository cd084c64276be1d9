"""The registry of video encoders: one line per encoder in `EncoderParams`."""

from models.encoders.place_cnn import PlaceCNNParams

EncoderParams = PlaceCNNParams
