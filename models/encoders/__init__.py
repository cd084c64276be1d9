"""Registry of stream encoders, of pictures in `video` and of sound in `audio`: one line per encoder.

The text encoders have their own registry in `text`.
"""

from typing import Annotated

from pydantic import Field

from models.encoders.audio.log_mel import LogMelParams
from models.encoders.video.clip_image import CLIPImageParams
from models.encoders.video.onnx_image import OnnxImageParams
from models.encoders.video.place_cnn import PlaceCNNParams

EncoderParams = Annotated[PlaceCNNParams | CLIPImageParams | OnnxImageParams | LogMelParams, Field(discriminator="name")]
