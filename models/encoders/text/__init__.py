"""Registry of text encoders: one line per encoder in `TextEncoderParams`."""

from typing import Annotated

from pydantic import Field

from models.encoders.text.clip_text import CLIPTextParams
from models.encoders.text.glove import GloVeParams
from models.encoders.text.lstm import LSTMTextParams
from models.encoders.text.onnx_text import OnnxTextParams
from models.encoders.text.sentence_transformer import SentenceTransformerParams
from models.encoders.text.transformer import TransformerTextParams
from models.encoders.text.word_vectors import WordVectorsParams

TextEncoderParams = Annotated[
    WordVectorsParams
    | LSTMTextParams
    | TransformerTextParams
    | GloVeParams
    | SentenceTransformerParams
    | CLIPTextParams
    | OnnxTextParams,
    Field(discriminator="name"),
]
