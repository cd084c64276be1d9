"""Fixtures: a small valid corpus in the published format of each reader."""

import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from corpus.readers import build_reader
from corpus.readers.base import ReadResult

Files = Mapping[str, str]
Read = Callable[..., ReadResult]

_ACTIVITYNET = {"v_one": {"duration": 20.0, "timestamps": [[0, 4.5], [3, 20]], "sentences": [" A dog runs.", "It sleeps."]}}
_TACOS = {"s1-d1.avi": {"fps": 29.4, "num_frames": 588, "timestamps": [[0, 294]], "sentences": ["She cuts bread."]}}
_HIGHLIGHT = {
    "qid": 7,
    "query": "A dog runs.",
    "duration": 150,
    "vid": "abc_60.0_210.0",
    "relevant_clip_ids": [5, 6],
    "saliency_scores": [[4, 3, 2], [0, 1, 2]],
    "relevant_windows": [[10, 14]],
}
_DIDEMO = {"annotation_id": 9, "description": "a dog runs", "video": "1@N0_2.mov", "times": [[1, 1], [1, 1], [1, 2], [4, 4]]}


def _rename(video: object, old: str, new: str) -> str:
    return json.dumps(video).replace(old, new)


CORPORA: dict[str, Files] = {
    "activitynet_captions": {
        "train.json": json.dumps(_ACTIVITYNET),
        "val_1.json": _rename(_ACTIVITYNET, "v_one", "v_two"),
        "val_2.json": _rename(_ACTIVITYNET, "v_one", "v_two"),
    },
    "charades_sta": {
        "Charades_v1_train.csv": 'id,script,length\nAO8RW,"a, b",33.67\n',
        "Charades_v1_test.csv": "id,script,length\n3MSZA,,30.96\n",
        "charades_sta_train.txt": "AO8RW 0.0 6.9##a person is putting a book on a shelf.\n",
        "charades_sta_test.txt": "3MSZA 24.3 30.4##person turn a light on.\n",
    },
    "didemo": {
        "train_data.json": json.dumps([_DIDEMO]),
        "val_data.json": _rename([_DIDEMO], "1@N0_2", "1@N0_3"),
        "test_data.json": _rename([_DIDEMO], "1@N0_2", "1@N0_4"),
    },
    "folder": {
        "annotations.jsonl": '{"qid": "a", "vid": "v1", "duration": 9.5, "query": "A dog runs.", "relevant_windows": [[1, 4]]}\n',
    },
    "kpf": {
        "train/clip.activities.yml": "- { meta: clip }\n"
        "- { act: { act2: {person_sits_down: 1.0}, id2: 1, timespan: [{tsr0: [30, 59]}], actors: [{id1: 5}] } }\n",
        "train/clip.types.yml": "- { types: { id1: 5, cset3: { person: 1.0 } } }\n",
    },
    "qvhighlights": {
        "highlight_train_release.jsonl": json.dumps(_HIGHLIGHT) + "\n",
        "highlight_val_release.jsonl": _rename(_HIGHLIGHT, "7", "8") + "\n",
    },
    "tacos": {
        "train.json": json.dumps(_TACOS),
        "val.json": _rename(_TACOS, "s1", "s2"),
        "test.json": _rename(_TACOS, "s1", "s3"),
    },
}


def write_files(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write the files of a corpus below `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


@pytest.fixture
def corpora() -> Mapping[str, Files]:
    """Return the files of a small valid corpus by the name of its reader."""
    return CORPORA


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write the small corpus of a reader with some changed files, and read it; None leaves a file out."""

    def write_and_read(name: str, changes: Mapping[str, str | bytes | None] | None = None) -> ReadResult:
        files = {**CORPORA[name], **(changes or {})}
        root = Path(tempfile.mkdtemp(dir=tmp_path))
        write_files(root, {file: content for file, content in files.items() if content is not None})
        return build_reader(name).read(root)

    return write_and_read
