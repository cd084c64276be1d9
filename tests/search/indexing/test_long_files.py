"""A two-hour file is encoded by a tower of the size of ViT-B/32 within 1 GiB of resident memory."""

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from flat_videos import Flat, fill_frame
from vit_project import save_vit_project

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[3]
SECONDS, MOVING_S = 7200, 40  # of the video, and of its start, which changes from second to second
ENCODE = """
import sys
from pathlib import Path
from benchmarks.process_memory import read_status
from search.bundle import Bundle, load_bundle
from search.indexing.unfinished import UnfinishedFile
from search.indexing.video_indexer import VideoIndexer

bundle, path, kept = load_bundle(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
stream = bundle.manifest.streams["video"]
sampling = stream.sampling.model_copy(update={"reuse_below": 1.0})  # spares the still part of the video
streams = {"video": stream.model_copy(update={"sampling": sampling})}
indexer = VideoIndexer(Bundle(bundle.folder, bundle.manifest.model_copy(update={"streams": streams})))
encoded = indexer.encode_file(path, report=lambda share: None, unfinished=UnfinishedFile(kept, "a"))
print(encoded.num_clips, read_status("VmHWM"))
"""


def write_long(path: Path) -> Path:
    """Write two hours at one picture a second: first of changing colour, then still."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        colours = np.random.default_rng(0).integers(40, 200, (MOVING_S, 3)).tolist()
        frames = [fill_frame(Flat(tuple(colour), size=(640, 360))) for colour in colours]
        for number in range(SECONDS):
            frame = frames[min(number, MOVING_S - 1)]
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def test_two_hours_fit_into_a_gibibyte(tmp_path: Path) -> None:
    project = save_vit_project(tmp_path)
    assert_small(project.bundle, write_long(tmp_path / "long.mp4"), tmp_path / "kept")


def assert_small(bundle: Path, path: Path, kept: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    command = [sys.executable, "-c", ENCODE, str(bundle), str(path), str(kept)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    num_clips, peak_bytes = map(int, done.stdout.split())
    assert num_clips == SECONDS
    assert peak_bytes < 1 << 30, f"{peak_bytes / 2**20:.0f} MiB"
