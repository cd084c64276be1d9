"""The networks of a bundle under onnxruntime, as functions on arrays.

Letters: B rows, S clips, N cells, P places, L words, M candidates, D widths, E embedding width.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from corpus.moments import Floats
from corpus.store import Half
from corpus.stream_names import name_encoder, name_features
from search.bundle import Bundle
from search.null_sentences import choose_sentences
from search.two_stage import ScoredSpans

_SIGN_AND_VALUE = np.int32(-0x70000001)  # all bits but those between the sign and the exponent of a float16
_BIAS = np.float32(2.0**112)
_SENTENCES_PER_RUN = 64


class CellWindows(NamedTuple):
    """Input windows of the localizer."""

    cells: Mapping[str, Sequence[Half]]  # B of (N, P, D) of each stream
    starts_s: Floats  # (B,) of each window in its video
    durations_s: Floats  # (B,) of each window


class EncodedText(NamedTuple):
    """Sentences encoded by the text encoder."""

    tokens: NDArray[np.float32]  # (B, L, D)
    token_mask: NDArray[np.bool_]  # (B, L)
    pooled: NDArray[np.float32]  # (B, D)

    def take(self, rows: Sequence[int]) -> "EncodedText":
        """Return some rows, cut to the longest sentence among them."""
        mask = self.token_mask[rows]
        length = int(np.flatnonzero(mask.any(axis=0))[-1]) + 1
        return EncodedText(self.tokens[rows, :length], mask[:, :length], self.pooled[rows])


class Networks:
    """Runs the networks of a bundle on a bounded number of threads; each file is opened on first use."""

    def __init__(self, bundle: Bundle, *, num_threads: int = 2) -> None:
        """Prepare the networks of a verified bundle."""
        self._bundle = bundle
        self._open = lru_cache(maxsize=None)(partial(_open_session, bundle=bundle, num_threads=num_threads))

    def encode_clips(self, stream: str, clips: NDArray[Any]) -> NDArray[np.float32]:
        """Return the features of clips of one video, (S, P, D), by the encoder of a stream; see `iter_stream_clips`."""
        features: NDArray[np.float32] = self.run(name_encoder(stream), {"clips": clips})[0]
        return features

    def encode_text(self, token_ids: NDArray[np.int64]) -> EncodedText:
        """Encode sentences given as token ids (B, L)."""
        return EncodedText(*self.run("text_encoder", {"token_ids": token_ids}))

    def embed_clips(self, streams: Mapping[str, Floats]) -> NDArray[np.float32]:
        """Return the retriever's vectors of clips: each stream (S, P, D) -> (S, E), unit length."""
        inputs = {name_features(name): features.astype(np.float32) for name, features in streams.items()}
        vectors: NDArray[np.float32] = self.run("retriever_clips", inputs)[0]
        return vectors

    def embed_queries(self, text: EncodedText) -> NDArray[np.float32]:
        """Return the retriever's vectors of sentences, (B, E), unit length."""
        vectors: NDArray[np.float32] = self.run("retriever_queries", text._asdict())[0]
        return vectors

    def localize(self, windows: CellWindows, text: EncodedText) -> list[ScoredSpans]:
        """Return the candidates of sentence i in window i, in seconds of its video."""
        spans, scores, valid = self.run("localizer", build_localizer_inputs(windows, text))
        starts_s = windows.starts_s.astype(np.float32)
        return [ScoredSpans(spans[row][valid[row]] + starts_s[row], scores[row][valid[row]]) for row in range(len(spans))]

    def run(self, name: str, inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Run one network on inputs given by name and return its outputs in order."""
        session = self._open(name)
        outputs: list[Any] = session.run(None, {one.name: inputs[one.name] for one in session.get_inputs()})
        return outputs


def embed_bank(bundle: Bundle, networks: Networks) -> NDArray[np.float32]:
    """Return the retriever's vectors (B, E) of the sentences of the bank that the models understand."""
    texts = choose_sentences(bundle.tokenizer)
    parts = [texts[start : start + _SENTENCES_PER_RUN] for start in range(0, len(texts), _SENTENCES_PER_RUN)]
    vectors = [networks.embed_queries(networks.encode_text(bundle.tokenizer.encode(part))) for part in parts]
    return np.concatenate([np.zeros((0, bundle.manifest.dims.embedding_dim), dtype=np.float32), *vectors])


def build_localizer_inputs(windows: CellWindows, text: EncodedText) -> dict[str, NDArray[Any]]:
    """Return the localizer's inputs by name: sentence i and window i."""
    features = {name_features(name): widen(cells) for name, cells in windows.cells.items()}  # (B, N, P, D) each
    mask = np.ones(next(iter(features.values())).shape[:2], dtype=np.bool_)
    return {**features, "mask": mask, "duration_s": windows.durations_s.astype(np.float32), **text._asdict()}


def widen(rows: Sequence[Half]) -> NDArray[np.float32]:
    """Return finite float16 arrays of one shape as one float32 array, exactly; three times as fast as NumPy's conversion.

    The bits of a float16, moved to their places in a float32, are the number times 2 ** -112, as the exponents' biases differ.
    """
    wide = np.empty((len(rows), *rows[0].shape), dtype=np.float32)
    for row, out in zip(rows, wide, strict=True):  # row by row, so that the passes stay in the cache
        bits = out.view(np.int32)
        np.left_shift(row.view(np.int16), 13, out=bits, dtype=np.int32)  # the sign is carried on to the left
        np.bitwise_and(bits, _SIGN_AND_VALUE, out=bits)
        np.multiply(out, _BIAS, out=out)
    return wide


def open_session(path: Path, *, num_threads: int) -> Any:
    """Return an onnxruntime session on the processor, bounded to `num_threads` threads."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # idle threads leave the processor to others
    return ort.InferenceSession(path, sess_options=options, providers=["CPUExecutionProvider"])


def _open_session(name: str, *, bundle: Bundle, num_threads: int) -> Any:
    return open_session(bundle.network_path(name), num_threads=num_threads)
