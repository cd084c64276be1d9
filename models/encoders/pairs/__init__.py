"""The registry of pairs: an encoder of pictures and one of sentences in one space, as one choice. One line per pair."""

from typing import Annotated

from pydantic import Field

from models.encoders.pairs.clip import CLIPPairParams
from models.encoders.pairs.onnx import OnnxPairParams
from models.encoders.pairs.open_clip import OpenClipPairParams

PairParams = Annotated[CLIPPairParams | OpenClipPairParams | OnnxPairParams, Field(discriminator="name")]
