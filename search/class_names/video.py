"""Classified videos, the entries of the index of a zero-shot search: one for each file.

Letters: S frames, V views, H shots, K classes, D width of a feature.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.code import find_closure
from corpus.media import Display, ExaminedFile, count_clips, decoder_version
from corpus.media.pictures.views import iter_views
from corpus.moments import Ints
from corpus.store import Half
from search.class_names.bundle import ClassBundle
from search.class_names.networks import ClassNetworks
from search.class_names.recipe import average_shots, cut_shots, pool_frames
from search.indexing.encoded_cache import EncodedCache
from search.indexing.unfinished import UnfinishedFile, resume

ARRAYS = ("logits", "pooled", "shots", "fits")  # of a classified video
FRAMES_PER_BATCH = 8  # decoded and classified at once
_STREAM = "frames"  # the name of what is kept of an unfinished file


class ClassifiedVideo(NamedTuple):
    """The index's data of a video, without its name. Logits stay raw, because probabilities rank videos worse."""

    duration_s: float
    logits: Half  # (S, K) of the frames, in order
    pooled: NDArray[np.float32]  # (1, K), see `pool_frames`
    shots: Ints  # (H, 2) frames [first, end) of each shot
    fits: NDArray[np.float32]  # (H, K), see `average_shots`
    notes: tuple[str, ...] = ()  # sentences about what was repaired or left out of the file

    @property
    def num_clips(self) -> int:
        """The number of frames."""
        return len(self.logits)


class ClassIndexer:
    """Encodes videos with the classifier of a bundle; memory holds the logits and features of one video."""

    def __init__(self, bundle: ClassBundle, *, num_threads: int = 1) -> None:
        """Use a verified bundle. The measured classifiers gave the same bytes with any number of threads."""
        self._sampling = bundle.manifest.sampling
        self._networks = ClassNetworks(bundle.folder, num_threads=num_threads)

    def encode_file(
        self, path: Path, *, report: Callable[[float], None], unfinished: UnfinishedFile | None = None
    ) -> ClassifiedVideo:
        """Decode a file from start to end and classify its frames; `report` gets the share that is done.

        Frames that a killed process left in `unfinished` are not classified again; the bytes are those of a single run.

        Raises:
            UndecodableError: naming the file and why it cannot be decoded.
            ValueError: when a logit does not fit into float16.
            OSError: when the file cannot be read.
        """
        file = ExaminedFile(path)
        duration_s = file.info.duration_s
        num_frames = count_clips(duration_s, self._sampling.frame_rate_hz)
        batches: list[Half] = []
        encode = partial(self._classify, file.iter_displayed, duration_s)
        for batch in resume(unfinished, _STREAM, encode, rows_per_batch=FRAMES_PER_BATCH):
            batches.append(batch)
            report(sum(map(len, batches)) / num_frames)
        rows = np.concatenate(batches)  # (S, K + D)
        logits, features = map(np.ascontiguousarray, np.split(rows, [rows.shape[1] - self._networks.feature_dim], axis=1))
        return build_video(logits, features, duration_s)._replace(notes=file.info.notes)

    def _classify(self, display: Display, duration_s: float, first_frame: int) -> Iterator[Half]:
        """Yield the logits and features of frames side by side, (n, K + D)."""
        batches = iter_views(
            display, self._sampling, duration_s=duration_s, frames_per_batch=FRAMES_PER_BATCH, first_frame=first_frame
        )
        for views in batches:
            found = self._networks.classify(views)
            with np.errstate(over="ignore"):  # `build_video` says it of logits; ReLU6 bounds features
                yield np.concatenate([found.logits, found.features], axis=1).astype(np.float16)


def build_video(logits: Half, features: Half, duration_s: float) -> ClassifiedVideo:
    """Return the classified video of logits (S, K) and features (S, D).

    Raises:
        ValueError: when a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise ValueError("a logit is not a finite float16: the classifier cannot encode this video; index it with another model")
    shots = cut_shots(features)
    return ClassifiedVideo(duration_s, logits, pool_frames(logits)[None], shots, average_shots(logits, shots))


class ClassCache(EncodedCache[ClassifiedVideo]):
    """Keeps classified videos on disk."""

    def __init__(self, folder: Path, bundle: ClassBundle) -> None:
        """Use a folder as the cache of a bundle."""
        key = [bundle.encoding, decoder_version(), find_closure([ClassIndexer]).hash]
        super().__init__(folder, key, arrays=ARRAYS)

    def pack(self, encoded: ClassifiedVideo) -> tuple[Sequence[NDArray[Any]], Mapping[str, Any]]:
        """Return the arrays and facts of a video."""
        return [getattr(encoded, name) for name in ARRAYS], {"duration_s": encoded.duration_s, "notes": list(encoded.notes)}

    def unpack(self, arrays: Sequence[NDArray[Any]], facts: Mapping[str, Any]) -> ClassifiedVideo:
        """Return the classified video."""
        named = dict(zip(ARRAYS, arrays, strict=True))
        return ClassifiedVideo(facts["duration_s"], **named, notes=tuple(facts["notes"]))
