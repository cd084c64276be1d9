"""Encoded videos on disk, by the content of their files, so that each file is encoded once."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load, save

import serving.indexing
from corpus.files import read_json, sha256_file, sha256_json, write_bytes, write_json
from corpus.media import decoder_version, hash_code
from serving.bundle import Manifest
from serving.indexing import EncodedVideo

_NETWORKS = ("video_encoder.onnx", "retriever_clips.onnx")


class VideoCache:
    """What is known of files: `<sha256>.json` says how a file was encoded, or why it cannot be; the arrays lie beside it.

    All of it belongs to the networks, sampling, decoder and code that encode; with others, the cache is empty.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use a folder for what a bundle encodes."""
        code = [hash_code(), sha256_file(Path(serving.indexing.__file__))]
        networks = [manifest.files[name].sha256 for name in _NETWORKS]
        sampling = manifest.require_sampling().model_dump(mode="json")
        cells = [manifest.num_cells, manifest.window_s, manifest.window_overlap]
        key = sha256_json([networks, sampling, cells, decoder_version(), code])
        self._folder = folder / key[:16]

    def find_reason(self, sha256: str) -> str:
        """Return why a file is known not to be encodable, empty where it is not known."""
        return str(self._read_entry(sha256).get("reason", ""))

    def load(self, sha256: str) -> EncodedVideo | None:
        """Return the encoded video of a file, `None` where there is none or where its bytes are damaged."""
        entry, path = self._read_entry(sha256), self._find_arrays(sha256)
        if "duration_s" not in entry or not path.is_file() or sha256_file(path) != entry["sha256"]:
            return None
        arrays = load(path.read_bytes())
        return EncodedVideo(entry["duration_s"], arrays["vectors"], arrays["cells"])

    def save(self, sha256: str, encoded: EncodedVideo) -> None:
        """Keep an encoded video; its entry comes last, and with it the video is complete.

        Raises:
            OSError: naming the file, for instance when the disk is full.
        """
        path = self._find_arrays(sha256)
        arrays = {"vectors": encoded.vectors, "cells": encoded.cells}
        write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))
        write_json(self._find_entry(sha256), {"duration_s": encoded.duration_s, "sha256": sha256_file(path)})

    def save_reason(self, sha256: str, reason: str) -> None:
        """Keep why a file cannot be encoded."""
        write_json(self._find_entry(sha256), {"reason": reason})

    def remove(self, sha256: str) -> None:
        """Forget a file."""
        self._find_entry(sha256).unlink(missing_ok=True)
        self._find_arrays(sha256).unlink(missing_ok=True)

    def remove_others(self, kept: Collection[str]) -> None:
        """Delete what is known of all other files, and what other networks encoded."""
        if not self._folder.is_dir():
            return
        for path in self._folder.parent.iterdir():
            if path != self._folder:
                shutil.rmtree(path)
        for path in self._folder.iterdir():
            if path.stem not in kept:
                path.unlink()

    def _read_entry(self, sha256: str) -> dict[str, Any]:
        path = self._find_entry(sha256)
        try:
            entry = read_json(path) if path.is_file() else {}
        except ValueError:  # damaged: what it said is found out again
            return {}
        return entry if isinstance(entry, dict) else {}

    def _find_entry(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.json"

    def _find_arrays(self, sha256: str) -> Path:
        return self._folder / f"{sha256}.safetensors"
