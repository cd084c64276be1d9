"""The registry of text encoders: one line per encoder in `TextEncoderParams`."""

from typing import Annotated

from pydantic import Field

from models.text_encoders.clip_text import CLIPTextParams
from models.text_encoders.glove import GloVeParams
from models.text_encoders.lstm import LSTMTextParams
from models.text_encoders.sentence_transformer import SentenceTransformerParams
from models.text_encoders.transformer import TransformerTextParams
from models.text_encoders.word_vectors import WordVectorsParams

TextEncoderParams = Annotated[
    WordVectorsParams | LSTMTextParams | TransformerTextParams | GloVeParams | SentenceTransformerParams | CLIPTextParams,
    Field(discriminator="name"),
]
