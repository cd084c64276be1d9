"""Encoded videos on disk, by the content of their files, so that each file is encoded once."""

import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import serving.indexing
from corpus.files import read_json, sha256_file, sha256_json, write_json
from corpus.media import decoder_version, hash_code
from serving.array_files import map_array, write_arrays
from serving.bundle import Manifest
from serving.indexing import EncodedVideo

_NETWORKS = ("video_encoder.onnx", "retriever_clips.onnx")
_ARRAYS = ("vectors", "cells")


class VideoCache:
    """What is known of files: `<sha256>.json` says how a file was encoded, or why it cannot be; the arrays lie beside it.

    All of it belongs to the networks, sampling, decoder and code that encode; with others, the cache is empty.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """Use a folder for what a bundle encodes."""
        code = [hash_code(), sha256_file(Path(serving.indexing.__file__))]
        self._folder = folder / sha256_json([name_encoding(manifest), decoder_version(), code])[:16]

    def find_reason(self, sha256: str) -> str:
        """Return why a file is known not to be encodable, empty where it is not known."""
        return str(self._read_entry(sha256).get("reason", ""))

    def load(self, sha256: str) -> EncodedVideo | None:
        """Return the encoded video of a file, `None` where there is none or where its bytes are damaged."""
        entry = self._read_entry(sha256)
        paths = [self._find_array(sha256, name) for name in _ARRAYS]
        found = [sha256_file(path) if path.is_file() else None for path in paths]
        if "duration_s" not in entry or found != entry["sha256"]:
            return None
        return EncodedVideo(entry["duration_s"], *map(map_array, paths))

    def save(self, sha256: str, encoded: EncodedVideo) -> None:
        """Keep an encoded video; its entry comes last, and with it the video is complete.

        Raises:
            OSError: naming the file, for instance when the disk is full.
        """
        paths = [self._find_array(sha256, name) for name in _ARRAYS]
        write_arrays(paths[0], [encoded.vectors])
        write_arrays(paths[1], [encoded.cells])
        write_json(self._find_entry(sha256), {"duration_s": encoded.duration_s, "sha256": list(map(sha256_file, paths))})

    def save_reason(self, sha256: str, reason: str) -> None:
        """Keep why a file cannot be encoded."""
        write_json(self._find_entry(sha256), {"reason": reason})

    def remove(self, sha256: str) -> None:
        """Forget a file."""
        self._find_entry(sha256).unlink(missing_ok=True)
        for name in _ARRAYS:
            self._find_array(sha256, name).unlink(missing_ok=True)

    def remove_others(self, kept: Collection[str]) -> None:
        """Delete what is known of all other files, and what other networks encoded."""
        if not self._folder.is_dir():
            return
        for path in self._folder.parent.iterdir():
            if path != self._folder:
                shutil.rmtree(path)
        for path in self._folder.iterdir():
            if path.name.partition(".")[0] not in kept:
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

    def _find_array(self, sha256: str, name: str) -> Path:
        return self._folder / f"{sha256}.{name}.npy"


def name_encoding(manifest: Manifest) -> str:
    """Return the hash of all of a bundle that decides what the index holds of a video: equal ones share encoded videos.

    Raises:
        ValueError: when the bundle cannot encode videos.
    """
    networks = [manifest.files[name].sha256 for name in _NETWORKS]
    sampling = manifest.require_sampling().model_dump(mode="json")
    return sha256_json([networks, sampling, manifest.num_cells, manifest.window_s, manifest.window_overlap])
