"""The networks of a zero-shot bundle under onnxruntime. Letters: n frames, V views, K classes, D width, B sentences, E width."""

from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.media import Images
from search.class_names.bundle import PICTURES, SENTENCES
from search.networks import open_session


class ClassifiedFrames(NamedTuple):
    """The outputs of the classifier for frames."""

    logits: NDArray[np.float32]  # (n, K)
    features: NDArray[np.float32]  # (n, D)


class ClassNetworks:
    """Runs the networks of a folder on a bounded number of threads, and opens each file on first use."""

    def __init__(self, folder: Path, *, num_threads: int = 2) -> None:
        """Prepare the networks of a verified bundle."""
        self._folder = folder
        self._open = lru_cache(maxsize=None)(partial(_open, folder=folder, num_threads=num_threads))

    def classify(self, views: Images) -> ClassifiedFrames:
        """Classify frames by the mean over their views, (n, V, H, W, 3) uint8."""
        return ClassifiedFrames(*self._open(PICTURES).run(["logits", "features"], {"views": views}))

    @property
    def feature_dim(self) -> int:
        """D."""
        shapes = {output.name: output.shape for output in self._open(PICTURES).get_outputs()}
        return int(shapes["features"][-1])

    def encode_sentences(self, token_ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors of sentences, (B, L) -> (B, E), of unit length."""
        vectors: NDArray[np.float32] = self._open(SENTENCES).run(["vectors"], {"token_ids": token_ids})[0]
        return vectors


def _open(name: str, *, folder: Path, num_threads: int) -> Any:
    return open_session(folder / name, num_threads=num_threads)
