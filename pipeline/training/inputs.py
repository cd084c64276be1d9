"""Inputs of the training of a role: corpus, features and encoders, loaded as the data of a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from corpus.records import TRAIN, Corpus
from corpus.store import FeatureStore
from models.artefacts.encoder_files import Encoders, require_own_features
from models.contracts.batches import InputDims, StreamDims, TextFeatures
from models.contracts.inputs import encode_queries, iterate_cells, load_clips
from models.contracts.roles import LocalizerParams, RetrieverParams
from models.training.data import LocalizerData, RetrieverData


@dataclass(frozen=True, slots=True)
class TrainInputs:
    """Corpus, features and encoders that a training reads."""

    corpus: Corpus
    store: FeatureStore
    encoders: Encoders

    def __post_init__(self) -> None:
        """Refuse features of other encoders."""
        require_own_features(self.encoders, self.store)

    @property
    def has_lessons(self) -> bool:
        """Whether there are sentences to learn from."""
        return bool(self.corpus.of_split(TRAIN).queries)

    def to_json(self, streams: Sequence[str]) -> dict[str, Any]:
        """Return hashes of all data that affect the weights of a model that reads these streams."""
        return {
            "features": self.store.combine_fingerprint(streams).digest,
            "text": self.encoders.text_digest,
            "videos": [video.to_json() for video in self.corpus.videos],
            "queries": [query.to_json() for query in self.corpus.queries],
        }


def measure_longest(corpus: Corpus) -> float:
    """Return the length of the longest training video in seconds, without any that of the longest video."""
    return max(video.duration_s for video in corpus.of_split(TRAIN).videos or corpus.videos)


def measure_dims(inputs: TrainInputs, streams: Sequence[str]) -> InputDims:
    """Return the widths of the given streams and of the text."""
    text = encode_queries(inputs.encoders.text, inputs.encoders.tokenizer, [inputs.corpus.queries[0].text])
    dims = {name: StreamDims(*inputs.store.stream(name).feature_shape) for name in streams}
    return InputDims(dims, text_dim=text.tokens.shape[-1])


def load_retriever_data(component: RetrieverParams, inputs: TrainInputs, split: str) -> RetrieverData:
    """Load a split clip by clip."""
    part, names = inputs.corpus.of_split(split), component.streams
    features = [load_clips(inputs.store, names, video.video_id, duration_s=video.duration_s) for video in part.videos]
    return RetrieverData.from_corpus(part, encode_texts(inputs, part), features, inputs.store.stream(names[0]).clip_rate_hz)


def load_localizer_data(component: LocalizerParams, inputs: TrainInputs, split: str) -> LocalizerData:
    """Load a split on the localizer's grid, with the streams that it reads; the text-only floor reads none."""
    part, num_cells = inputs.corpus.of_split(split), component.num_cells
    video_ids = [video.video_id for video in part.videos]
    cells = {name: iterate_cells(inputs.store.stream(name), video_ids, num_cells) for name in component.streams}
    return LocalizerData.from_corpus(part, encode_texts(inputs, part), cells, num_cells)


def encode_texts(inputs: TrainInputs, part: Corpus) -> TextFeatures:
    """Encode the sentences of a corpus, in order."""
    return encode_queries(inputs.encoders.text, inputs.encoders.tokenizer, [query.text for query in part.queries])
