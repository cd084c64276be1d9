"""A two-hour file is indexed within 1 GiB of resident memory of all processes, and goes on after a kill inside it.

The networks are small, so that the suite can afford it; tests/benchmarks/long_files.py measures a tower of the size of ViT-B/32.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from long_files import LIMIT_MIB, SECONDS, watch, write_long

ROOT = Path(__file__).resolve().parents[3]
CLIPS = 2 * SECONDS  # the small project has two a second
SCRIPT = """
import sys
from pathlib import Path
from search.indexing import unfinished
from search.indexing.folder_index import index_folder
from search.networks import Networks

unfinished.KEEP_EVERY_S = 0.1  # worker processes import this file too
run, counts = Networks.encode_clips, Path(__file__).with_suffix(".counts")


def count(self, name, clips):
    with counts.open("a") as output:
        output.write(f"{len(clips)}\\n")
    return run(self, name, clips)


Networks.encode_clips = count
if __name__ == "__main__":
    videos, bundle, output = map(Path, sys.argv[1:])
    print(index_folder(videos, bundle_dir=bundle, output_dir=output, num_workers=1).num_clips)
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@pytest.fixture
def command(tmp_path: Path, small_project: Any) -> list[str]:
    """The command that indexes two hours, and counts the clips that its workers encode in index.counts beside its script."""
    (tmp_path / "videos").mkdir()
    write_long(tmp_path / "videos" / "long.mp4", size=(64, 48))
    script = tmp_path / "index.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return [sys.executable, str(script), str(tmp_path / "videos"), str(small_project.bundle), str(tmp_path / "output")]


def count_encoded(folder: Path) -> int:
    path = folder / "index.counts"
    return sum(map(int, path.read_text(encoding="ascii").splitlines())) if path.is_file() else 0


def kill_half_way(command: list[str], folder: Path) -> None:
    """Kill all processes of a run, inside its file."""
    with subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, start_new_session=True, stdout=subprocess.DEVNULL) as process:
        while count_encoded(folder) < CLIPS / 2 and process.poll() is None:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_two_hours_fit_into_a_gibibyte(command: list[str], tmp_path: Path) -> None:
    found = watch(command, cwd=ROOT, environment=ENVIRONMENT)
    assert int(found.output) == count_encoded(tmp_path) == CLIPS
    assert found.processes >= 2  # the command and its worker
    assert found.peak_bytes < LIMIT_MIB * 2**20, f"{found.peak_bytes / 2**20:.0f} MiB"


@pytest.mark.fault
def test_two_hours_go_on_after_a_kill_inside_the_file(command: list[str], tmp_path: Path) -> None:
    kill_half_way(command, tmp_path)
    killed = count_encoded(tmp_path)
    assert list((tmp_path / "output").rglob("*.part-*"))
    found = watch(command, cwd=ROOT, environment=ENVIRONMENT)
    assert int(found.output) == CLIPS
    assert count_encoded(tmp_path) - killed < 0.75 * CLIPS
    assert found.peak_bytes < LIMIT_MIB * 2**20, f"{found.peak_bytes / 2**20:.0f} MiB"
