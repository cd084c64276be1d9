"""`cuepoint index`: its output, its exit codes, and its only requirement, the bundle."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cuepoint.__main__ import main
from cuepoint.running import INTERRUPTED, SOME_LEFT_OUT
from loopback import wait_until
from search.answers import SearchQuery
from search.bundle import load_bundle
from search.collection import load_collection
from search.predictor import MomentPredictor

ROOT = Path(__file__).resolve().parents[2]
MEASURE_PEAK = """
import sys
from pathlib import Path
from benchmarks.process_memory import read_status
from search.bundle import load_bundle
from search.indexing.video_indexer import VideoIndexer

VideoIndexer(load_bundle(Path(sys.argv[1]))).encode_file(Path(sys.argv[2]), report=lambda share: None)
print(read_status("VmHWM"))
"""
SENTENCES = ("the red circle moves right", "a blue square spins", "the green triangle leaves")


def run(*arguments: str, code: int = 0, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CUEPOINT_")}
    command = [sys.executable, "-m", "cuepoint", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


@pytest.mark.slow
def test_drawn_videos_without_annotations_are_indexed_and_found(tiny_pipeline: Path, tmp_path: Path) -> None:
    videos = Path(shutil.copytree(tiny_pipeline / "data" / "raw" / "shapes" / "videos", tmp_path / "my videos"))
    (videos / "broken.mp4").write_bytes((videos / "test_0000.mp4").read_bytes()[:5000])
    done = run("index", str(videos), code=SOME_LEFT_OUT, cwd=tiny_pipeline)
    assert done.stderr == "left out: broken.mp4: it cannot be decoded: no frame comes out of its 1 packets of pictures\n"
    first, search, serve = done.stdout.splitlines()
    assert first.startswith("index: 37 videos, ")
    assert first.endswith(f" clips; 37 newly encoded, 1 left out; in {tmp_path / 'my videos-index'}")
    assert search == f"cuepoint search 'A SENTENCE' --index '{tmp_path / 'my videos-index'}'"
    assert serve == f"cuepoint serve --index '{tmp_path / 'my videos-index'}'"
    again = run("index", str(videos), code=SOME_LEFT_OUT, cwd=tiny_pipeline)
    assert "; 0 newly encoded, 1 left out; in " in again.stdout
    every = ("--min-confidence", "0", "--index", str(tmp_path / "my videos-index"))
    rows = run("search", SENTENCES[0], *every, cwd=tiny_pipeline).stdout.splitlines()[1:]
    assert len(rows) == 5
    for row in rows:
        file, _, times = row[row.index(str(videos)) :].partition("#t=")
        start_s, end_s = map(float, times.split(","))
        assert Path(file).is_file()
        assert start_s < end_s


@pytest.mark.slow
def test_the_index_of_a_folder_agrees_with_the_pipelines(tiny_pipeline: Path, tmp_path: Path) -> None:
    data = tiny_pipeline / "data"
    run("index", str(data / "raw" / "shapes"), "--output", str(tmp_path / "index"), "--bundle", str(data / "bundle"))
    manifest = load_bundle(data / "bundle").manifest
    found, expected = load_collection(tmp_path / "index", manifest), load_collection(data / "index", manifest)
    names = {video.path: video.video_id for video in expected.videos.values()}
    assert sorted(names) == sorted(found.videos)
    directions = np.eye(manifest.dims.embedding_dim, dtype=np.float32)
    for path, video_id in names.items():
        assert found.videos[path].duration_s == expected.videos[video_id].duration_s
        assert found.videos[path].sha256 == expected.videos[video_id].sha256
        vectors, wanted = (
            np.stack([one.clips.clip_scores(direction, [key])[key] for direction in directions], axis=1)
            for one, key in ((found, path), (expected, video_id))
        )
        np.testing.assert_allclose(vectors, wanted, atol=1e-3)
        kept = (found.cells[path], expected.cells[video_id])
        cells, wanted_cells = (one.streams["video"].array.astype(np.float32) for one in kept)
        np.testing.assert_allclose(cells, wanted_cells, rtol=2e-3, atol=2e-3)  # two roundings to float16
    answers, wanted_answers = (MomentPredictor.load(data / "bundle", folder) for folder in (tmp_path / "index", data / "index"))
    for sentence in SENTENCES:
        query = SearchQuery(sentence, 10, min_confidence=0.0)
        best, wanted_best = (one.search(query)[0].moments for one in (answers, wanted_answers))
        np.testing.assert_allclose([one.score for one in best], [one.score for one in wanted_best], atol=1e-3)
        assert names[best[0].video_id] in {one.video_id for one in wanted_best if one.score > wanted_best[0].score - 2e-3}


@pytest.mark.slow
def test_the_memory_does_not_grow_with_the_length_of_a_video(tiny_pipeline: Path, tmp_path: Path) -> None:
    peaks_mebibyte = []
    for minutes in (4, 40):  # the shorter one fills a batch of clips too
        write_still(tmp_path / f"{minutes}.mp4", seconds=60 * minutes)
        command = [sys.executable, "-c", MEASURE_PEAK, str(tiny_pipeline / "data" / "bundle"), str(tmp_path / f"{minutes}.mp4")]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
        peaks_mebibyte.append(int(done.stdout) / 2**20)
    assert peaks_mebibyte[1] < peaks_mebibyte[0] + 40  # the frames of all clips alone would be 280 MiB


def write_still(path: Path, *, seconds: int, fps: int = 5) -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(fps * seconds):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.slow
def test_the_command_loads_no_training_tool(small_project: Any, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    shutil.copyfile(small_project.raw / "videos" / "v0.mp4", tmp_path / "videos" / "v0.mp4")
    code = (
        "import sys; from cuepoint.__main__ import main\n"
        "if __name__ == '__main__':\n"
        "    print(main(sys.argv[1:]))\n"
        "    print(sorted({'torch', 'bentoml', 'dvc', 'mlflow', 'prefect', 'pandas', 'onnx'} & set(sys.modules)))\n"
    )
    (tmp_path / "program.py").write_text(code)
    command = [
        sys.executable,
        str(tmp_path / "program.py"),
        "index",
        str(tmp_path / "videos"),
        "--bundle",
        str(small_project.bundle),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert done.stdout.splitlines()[-2:] == ["0", "[]"]


@pytest.mark.slow
def test_a_folder_of_unreadable_files_is_an_error_with_the_reasons(
    small_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").touch()
    assert main(["index", str(tmp_path / "videos"), "--bundle", str(small_project.bundle), "--workers", "1"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "left out: a.mp4: the file is empty (0 bytes)",
        f"index: error: no video of {tmp_path / 'videos'} can be indexed",
    ]


def test_a_folder_that_is_missing_is_an_error(small_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(tmp_path / "nowhere"), "--bundle", str(small_project.bundle)]) == 1
    assert capsys.readouterr().err == f"index: error: {tmp_path}/nowhere is missing; name the folder that holds the videos\n"
    assert list(tmp_path.iterdir()) == []


def test_without_a_bundle_the_error_names_the_command_that_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", str(tmp_path), "--bundle", str(tmp_path)]) == 1
    assert "no finished bundle; run: make repro" in capsys.readouterr().err


def test_the_root_of_all_folders_needs_an_output(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["index", "/", "--bundle", str(small_project.bundle)]) == 1
    assert "the index of / cannot lie beside it; name another folder with --output" in capsys.readouterr().err


def test_an_interrupted_command_prints_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)  # where no models are, whatever this machine has fetched
    monkeypatch.setattr("search.indexing.folder_index.index_folder", interrupt)
    assert main(["index", str(tmp_path)]) == INTERRUPTED
    assert capsys.readouterr().err == "index: error: interrupted; run it again to resume\n"


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_a_number_of_workers_out_of_range_is_refused(workers: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["index", "videos", f"--workers={workers}"])
    assert f"{workers!r} is not a number of processes; write a number of at least 1" in capsys.readouterr().err


@pytest.mark.slow
def test_ctrl_c_ends_an_index_without_a_traceback_and_a_second_run_resumes(small_project: Any, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    content = (small_project.raw / "videos" / "v3.mp4").read_bytes()
    for number in range(40):
        (tmp_path / "videos" / f"{number:02}.mp4").write_bytes(content + bytes([number]))
    arguments = ["index", "videos", "--bundle", str(small_project.bundle), "--workers", "1"]
    command = [sys.executable, "-m", "cuepoint", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    wait_until(lambda: any((tmp_path / "videos-index" / "encoded").rglob("*.json")), 120)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (INTERRUPTED, b"")
    assert errors.decode().endswith("index: error: interrupted; run it again to resume\n")
    assert "Traceback" not in errors.decode()
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout.startswith("index: 40 videos, ")
    assert "; 40 newly encoded" not in again.stdout
