"""Values shared by pairs whose towers are published networks of one source."""

from abc import ABC
from typing import Any

from pydantic import PositiveFloat

from corpus.media import ClipSampling
from corpus.text import Cleaning
from models.contracts.roles import EncoderPairParams
from models.encoders.pairs.base.card import Card
from models.encoders.pretrained.source import SourceParams


class PublishedPairParams(SourceParams, EncoderPairParams, ABC):
    """The source of both towers, their picture sampling, and the card of the pair."""

    sampling: ClipSampling
    search_rate_hz: PositiveFloat = 1.0  # clips per second of videos that are searched without a training
    text_cleaning: Cleaning = "none"  # of sentences, before the tokenizer
    card: Card | None = None

    def list_source(self) -> dict[str, Any]:
        """Return the values that say where the files of both towers come from, each with its name."""
        return {name: getattr(self, name) for name in SourceParams.model_fields}
