"""Encoding of a video for the index, from its file or from its stored features.

Letters: S clips, P places, D width, C cells of all windows, E embedding width.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corpus.alignment import find_matching_clips
from corpus.media import (
    ClipSampling,
    Display,
    ExaminedFile,
    Images,
    MediaInfo,
    Samples,
    StreamSampling,
    count_clips,
    encode_distinct,
    examine,
    iter_stream_clips,
)
from corpus.media.pictures.near_duplicates import CLIPS_PER_GROUP
from corpus.moments import Floats, compute_clip_rate
from corpus.store import Half
from corpus.windows import average_ranges
from search.bundle import Bundle, Manifest
from search.clip_index import Vectors
from search.indexing.cell_writer import open_writer
from search.indexing.unfinished import UnfinishedFile, resume
from search.networks import Networks
from search.windowed_cells import StreamCells, WindowedCells

CLIPS_PER_BATCH = CLIPS_PER_GROUP  # of a stream, decoded and encoded at once; larger batches make large towers slower


class EncodedVideo(NamedTuple):
    """The encoding of a video for the index."""

    duration_s: float
    vectors: Vectors  # (S, E) of unit length, for the clip index
    cells: Mapping[str, StreamCells]  # for the localizer, by stream
    notes: tuple[str, ...] = ()  # sentences about what was repaired or left out of the file

    @property
    def num_clips(self) -> int:
        """The number of clips that the index finds."""
        return len(self.vectors)

    def cut(self, manifest: Manifest) -> WindowedCells:
        """Return the cells in windows.

        Raises:
            ValueError: when the bundle of `manifest` did not encode the video.
        """
        return WindowedCells.build(self.cells, manifest, duration_s=self.duration_s)


class _Stream(NamedTuple):
    """One stream of a video while it is encoded."""

    num_clips: int
    batches: Iterable[Half]  # (n, P, D) each


class VideoIndexer:
    """Encodes videos with the networks of a bundle, batch by batch.

    A file is decoded once for each stream that the models read. Memory holds one batch per stream, the vectors (31 kB a
    minute with the default bundle) and the cells of some minutes.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 1) -> None:
        """Use a verified bundle. Another number of threads may change the last bit of sums."""
        self._manifest = bundle.manifest
        self._networks = Networks(bundle, num_threads=num_threads)

    def encode_file(
        self, path: Path, *, report: Callable[[float], None], unfinished: UnfinishedFile | None = None
    ) -> EncodedVideo:
        """Decode a file from start to end and encode it; `report` gets the share of its clips that are encoded.

        Features that a killed process left in `unfinished` are not encoded again; the bytes are those of a single run.

        Raises:
            UndecodableError: naming the file and why it cannot be decoded.
            ValueError: when a feature does not fit into float16, or the bundle lacks the encoder of a stream.
            OSError: when the file cannot be read.
        """
        samplings = self._manifest.require_samplings()
        file = ExaminedFile(path) if [one.kind for one in samplings.values()] == ["pictures"] else None
        info = file.info if file else examine(path)  # the whole sound must be examined before it is read beside pictures
        num_clips = {name: count_clips(info.duration_s, sampling.clip_rate_hz) for name, sampling in samplings.items()}
        done = dict.fromkeys(num_clips, 0)

        def note(name: str, count: int) -> None:
            done[name] += count
            report(sum(done.values()) / sum(num_clips.values()))

        def read(name: str, sampling: StreamSampling) -> Iterator[Half]:
            encode = partial(self._encode_clips, path, info, name, sampling, file.iter_displayed if file else None)
            return _tell(resume(unfinished, name, encode, rows_per_batch=CLIPS_PER_BATCH), partial(note, name))

        streams = {name: _Stream(num_clips[name], read(name, sampling)) for name, sampling in samplings.items()}
        encoded = self._encode(streams, info.duration_s)
        return encoded._replace(notes=(file.info if file else info).notes)

    def encode_features(self, features: Mapping[str, Half], *, duration_s: float) -> EncodedVideo:
        """Encode a video from known features: (S, P, D) of each stream that the models read."""
        return self._encode({name: _Stream(len(one), _split(one)) for name, one in features.items()}, duration_s)

    def _encode_clips(
        self, path: Path, info: MediaInfo, name: str, sampling: StreamSampling, display: Display | None, first_clip: int
    ) -> Iterator[Half]:
        batches = iter_stream_clips(
            path,
            sampling,
            duration_s=info.duration_s,
            clips_per_batch=CLIPS_PER_BATCH,
            has_sound=bool(info.has_audio),
            first_clip=first_clip,
            display=display,
        )
        for clips in batches:
            with np.errstate(over="ignore"):  # the next check reports it
                features = self._run_encoder(name, sampling, clips).astype(np.float16)  # (n, P, D)
            if not np.isfinite(features).all():
                raise ValueError(
                    f"a feature is not a finite float16: the bundle's encoder of {name!r} cannot encode this video; "
                    "index it with another model"
                )
            yield features

    def _run_encoder(self, name: str, sampling: StreamSampling, clips: Images | Samples) -> NDArray[np.float32]:
        encode = partial(self._networks.encode_clips, name)
        return encode_distinct(clips, sampling.reuse_below, encode) if isinstance(sampling, ClipSampling) else encode(clips)

    def _encode(self, streams: Mapping[str, _Stream], duration_s: float) -> EncodedVideo:
        num_clips = {name: stream.num_clips for name, stream in streams.items()}
        tables = self._manifest.share_cells(self._manifest.cut(num_clips, duration_s), num_clips, duration_s)
        with ExitStack() as stack:
            writers = {name: stack.enter_context(open_writer(table.ranges)) for name, table in tables.items()}
            batches = {
                name: iter(writers[name].watch(stream.batches) if name in writers else stream.batches)
                for name, stream in streams.items()
            }
            vectors = np.concatenate(list(self._embed(batches, num_clips, duration_s)))
            for rest in batches.values():
                deque(rest, maxlen=0)  # the writers take the clips that only the localizer reads
            cells = {name: StreamCells(num_clips[name], writer.finish()) for name, writer in writers.items()}
        return EncodedVideo(duration_s, vectors, cells)

    def _embed(self, batches: Mapping[str, Iterator[Half]], num_clips: Mapping[str, int], duration_s: float) -> Iterator[Vectors]:
        """Yield the vectors of each batch of the grid; the retriever's other streams are read up to the end of that batch."""
        grid, *others = self._manifest.retriever_streams
        aligned = {name: self._align(name, batches[name], num_clips, duration_s) for name in others}
        for features in batches[grid]:
            beside = {name: np.stack(list(islice(rows, len(features)))).astype(np.float16) for name, rows in aligned.items()}
            yield self._networks.embed_clips({grid: features, **beside})

    def _align(self, name: str, batches: Iterable[Half], num_clips: Mapping[str, int], duration_s: float) -> Iterator[Floats]:
        """Yield a stream on the clips of the grid, (P, D) float32 each, like `corpus.alignment.align_clips`."""
        grid = self._manifest.grid
        grid_rate_hz, rate_hz = (
            compute_clip_rate(self._manifest.streams[one].clip_rate_hz, num_clips=num_clips[one], duration_s=duration_s)
            for one in (grid, name)
        )
        ranges = find_matching_clips(num_clips[grid], grid_rate_hz, num_clips=num_clips[name], clip_rate_hz=rate_hz)
        return average_ranges(batches, ranges)


def _tell(batches: Iterable[Half], note: Callable[[int], None]) -> Iterator[Half]:
    """Yield batches, and note the length of each when the next one is asked for."""
    for features in batches:
        yield features
        note(len(features))


def _split(features: Half) -> Iterator[Half]:
    return (features[start : start + CLIPS_PER_BATCH] for start in range(0, len(features), CLIPS_PER_BATCH))
