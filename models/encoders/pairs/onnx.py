"""Both towers of a published pair of ONNX files, frozen."""

from typing import Literal

from pydantic import Field

from models.contracts.roles import EncoderPair
from models.encoders.pairs.base.published import PublishedPairParams
from models.encoders.text.onnx_text import OnnxTextParams
from models.encoders.video.onnx_image import OnnxImageParams


class OnnxPairParams(PublishedPairParams):
    """Values of the encoders `onnx_image` and `onnx_text` of one folder. Inputs and outputs are read from the networks."""

    name: Literal["onnx"]
    max_tokens: int | None = Field(default=None, ge=4)  # of a sentence; null: the file's length, otherwise 77
    padding_id: int | None = Field(default=None, ge=0)  # the token that fills sentences; null: as in the tokenizer's files
    is_padded: bool | None = None  # to max_tokens; null: only if the file has a fixed length
    folder: str | None = None  # of the source, if it holds networks of several sizes
    picture_file: str | None = None  # null: vision_model.onnx
    picture_output: str | None = None  # if the network gives several
    text_file: str | None = None  # null: text_model.onnx
    text_output: str | None = None

    def expand(self) -> EncoderPair:
        """Return the two towers."""
        source = {**self.list_source(), "folder": self.folder}
        text = {name: getattr(self, name) for name in ("max_tokens", "padding_id", "is_padded", "text_cleaning")}
        pictures = {"sampling": self.sampling, "file": self.picture_file, "output": self.picture_output}
        return EncoderPair(
            OnnxImageParams(name="onnx_image", **pictures, **source),
            OnnxTextParams(name="onnx_text", file=self.text_file, output=self.text_output, **text, **source),
        )
