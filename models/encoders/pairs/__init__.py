"""Registry of pairs, one line per pair. A pair chooses a picture encoder and a text encoder that share a space."""

from typing import Annotated

from pydantic import Field

from models.encoders.pairs.clip import CLIPPairParams
from models.encoders.pairs.onnx import OnnxPairParams
from models.encoders.pairs.open_clip import OpenClipPairParams

PairParams = Annotated[CLIPPairParams | OpenClipPairParams | OnnxPairParams, Field(discriminator="name")]
