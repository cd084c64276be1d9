"""Small annotated folders of videos, and their ingestion, for the tests of stage `ingest`."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np

from corpus.ingestion.ingested import Ingested
from corpus.ingestion.params import IngestParams
from corpus.readers import build_reader
from stages.ingest import ingest

PARAMS = IngestParams(validation_share=0.2, test_share=0.2, max_quarantine_share=0.02, seed=1)


def write_clip(path: Path, brightness: int, *, num_frames: int = 20, size: tuple[int, int] = (32, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"threads": "1", "x264-params": "mbtree=0"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for _ in range(num_frames):
            image = np.full((*size[::-1], 3), brightness, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def row(vid: str, **values: Any) -> dict[str, Any]:
    base = {"qid": f"q-{vid}", "vid": vid, "duration": 2.0, "query": "a dog runs", "relevant_windows": [[0.5, 1.5]]}
    return base | values


def write_rows(root: Path, *rows: dict[str, Any]) -> None:
    (root / "annotations.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))


def run(root: Path, tmp_path: Path, **params: Any) -> Ingested:
    return ingest(root, build_reader("folder"), PARAMS.model_copy(update=params), cache_dir=tmp_path / ".cache")


PUBLISHED = {
    "Charades_v1_train.csv": "id,length\n" + "".join(f"v{number},2.0\n" for number in range(4)),
    "Charades_v1_test.csv": "id,length\nv4,2.0\n",
    "charades_sta_train.txt": "".join(f"v{number} 0.5 2.4##a dog runs.\n" for number in range(4)) + "v0 2 3##a cat.\n",
    "charades_sta_test.txt": "v4 0.5 1.5##a dog runs.\n",
}


def write_published(root: Path, files: dict[str, str]) -> None:
    (root / "annotations.jsonl").unlink(missing_ok=True)
    for name, content in files.items():
        (root / name).write_text(content)
