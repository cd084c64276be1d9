"""`cuepoint search`: prints a table of moments, and errors that name the remedy."""

import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from corpus.files import read_json, write_json
from cuepoint.__main__ import main
from cuepoint.texts import format_time
from search.bundle import Manifest, load_bundle, save_manifest
from search.calibration import Calibration, Calibrations

if TYPE_CHECKING:
    from conftest import Cuepoint


def options_of(project: Any) -> list[str]:
    return ["--bundle", str(project.bundle), "--index", str(project.index), "--media", str(project.raw)]


def test_the_command_prints_ranked_moments_with_files_that_exist(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "the red circle moves", "-k", "3", *options_of(small_project)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", "time", "score", "confidence", "video", "play"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    for row in rows:
        file, _, time = row.split()[-1].partition("#t=")
        start_s, end_s = map(float, time.split(","))
        assert Path(file).is_file()
        assert start_s < end_s


def test_unknown_words_are_named(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "the zebra spins", *options_of(small_project)]) == 0
    assert "the word 'zebra' is unknown to the models and is ignored" in capsys.readouterr().err


def make_strict(small_project: Any, tmp_path: Path, *, auc: float) -> list[str]:
    """Return the options of a bundle whose confidence never reaches its threshold."""
    strict = Calibration(slope=1.0, clip_slope=0.0, standing_slope=0.0, intercept=0.0, threshold=1.0, auc=auc)
    calibrations = Calibrations(search=strict, localize=strict, missing={})
    bundle, index = (shutil.copytree(small_project.root / name, tmp_path / name) for name in ("bundle", "index"))
    content = load_bundle(bundle).manifest.model_dump(mode="json")
    manifest = Manifest.model_validate(content | {"calibration": calibrations.model_dump()})
    save_manifest(manifest, bundle)
    write_json(index / "index.json", read_json(index / "index.json") | {"bundle_version": manifest.version})
    return ["--bundle", str(bundle), "--index", str(index), "--media", str(small_project.raw)]


def test_what_is_not_found_is_said_with_the_best_guess(
    small_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = make_strict(small_project, tmp_path, auc=0.75)
    assert main(["search", "the red circle moves", "-k", "3", *options]) == 0
    first, _, *rows = capsys.readouterr().out.splitlines()
    assert first == "not found (--min-confidence 0 shows every moment), best guess:"
    assert len(rows) == 1
    assert " % " in rows[0]
    assert main(["search", "the red circle moves", "-k", "3", "--min-confidence", "0", *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_models_that_cannot_tell_are_unsure_and_show_what_comes_closest(
    small_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = make_strict(small_project, tmp_path, auc=0.74)
    assert main(["search", "the red circle moves", "-k", "3", *options]) == 0
    captured = capsys.readouterr()
    first, _, *rows = captured.out.splitlines()
    assert first == "unsure, these moments come closest:"
    assert len(rows) == 3
    assert "unsure: These models separate present from absent moments with an area under the ROC curve of 0.74" in captured.err
    assert main(["search", "the red circle moves", "--json", *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"], document["found"], document["best_guess"]) == ("unsure", False, None)
    assert document["moments"]


@pytest.mark.parametrize(("auc", "limits", "code"), [(0.9, [], 4), (0.6, [], 5), (0.6, ["--min-confidence", "0"], 0)])
def test_the_exit_code_tells_the_verdicts_apart(
    small_project: Any, tmp_path: Path, auc: float, limits: list[str], code: int
) -> None:
    options = make_strict(small_project, tmp_path, auc=auc)
    assert main(["search", "the red circle moves", "--exit-code", *limits, *options]) == code


def test_without_a_bundle_the_error_names_the_command_that_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a circle", "--bundle", str(tmp_path)]) == 1
    assert "no finished bundle; run: make repro" in capsys.readouterr().err


def test_a_sentence_without_words_is_an_error(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "...", *options_of(small_project)]) == 1
    assert "search: error: the sentence '...' has no words" in capsys.readouterr().err


def test_a_number_of_answers_out_of_range_is_an_error(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a circle", "-k", "0", *options_of(small_project)]) == 1
    assert "top_k must be between 1 and 100, got 0" in capsys.readouterr().err


def test_a_search_loads_no_training_tool(small_project: Any) -> None:
    code = (
        "import sys; from cuepoint.__main__ import main; main(sys.argv[1:]);"
        "print(sorted({'torch', 'bentoml', 'dvc', 'mlflow', 'prefect', 'pandas', 'onnx'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "search", "a circle", *options_of(small_project)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[2])
    assert done.stdout.splitlines()[-1] == "[]"


def test_json_is_one_document_with_every_field(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "the red circle moves", "zebra", "-k", "3", "--json", *options_of(small_project)]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    keys = ["query", "verdict", "reason", "found", "moments", "best_guess", "unknown_words", "model", "basis"]
    assert list(document) == keys
    assert (document["query"], document["found"], document["unknown_words"]) == ("the red circle moves zebra", True, ["zebra"])
    assert "the word 'zebra' is unknown to the models and is ignored" in captured.err
    for rank, moment in enumerate(document["moments"], start=1):
        assert set(moment) == {"rank", "path", "video_id", "start_s", "end_s", "score", "confidence"}
        assert moment["rank"] == rank
        assert moment["path"] == str(small_project.raw / "videos" / f"{moment['video_id']}.mp4")
        assert moment["start_s"] < moment["end_s"]


def test_an_error_leaves_nothing_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a circle", "--json", "--bundle", str(tmp_path)]) == 1
    assert capsys.readouterr().out == ""


def test_a_sentence_that_is_not_utf_8_is_refused(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a \udcff circle", *options_of(small_project)]) == 1
    assert "is not valid UTF-8" in capsys.readouterr().err


def test_moved_videos_give_a_warning_with_a_remedy(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    media = small_project.root / "moved"
    assert main(["search", "the red circle moves", *options_of(small_project)[:4], "--media", str(media)]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: the videos cannot be played: their folder {media} is missing; connect its disk")
    assert len(captured.out.splitlines()) > 1


def test_an_index_of_other_models_names_the_command_that_rebuilds_it(
    small_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = Path(shutil.copytree(small_project.index, tmp_path / "index"))
    content = read_json(index / "index.json") | {"media_dir": "/my videos"}
    fingerprint = {"identity": {"weights": "others"}, "environment": {}}
    for change in ({"bundle_version": "other"}, {"fingerprint": fingerprint}, {"format_version": 1}):
        write_json(index / "index.json", content | change)
        assert main(["search", "a circle", "--bundle", str(small_project.bundle), "--index", str(index)]) == 1
        error = capsys.readouterr().err
        assert f"run: cuepoint index '/my videos' --output {index}" in error


@pytest.mark.slow
@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_a_terminal_of_any_width_shows_every_field_of_a_long_name(
    small_project: Any, tmp_path: Path, columns: int, cuepoint: "Cuepoint"
) -> None:
    name = "A title as downloaders write it, with everything that the site says of it (4K) [dQw4w9WgXcQ].mp4"
    (tmp_path / "videos").mkdir()
    shutil.copyfile(small_project.raw / "videos" / "v0.mp4", tmp_path / "videos" / name)
    bundle = ["--bundle", str(small_project.bundle)]
    assert cuepoint("index", "videos", *bundle).returncode == 0
    arguments = ["search", "the red circle moves", "-k", "2", "--min-confidence", "0", "--index", "videos-index", *bundle]
    (first, second) = json.loads(cuepoint(*arguments, "--json").stdout)["moments"]
    code, output = run_in_terminal([sys.executable, "-m", "cuepoint", *arguments], columns, tmp_path)
    assert code == 0, output
    for moment in (first, second):
        assert f"{format_time(moment['start_s'])} - {format_time(moment['end_s'])}" in re.sub(r"\s+", " ", output)
        assert f"{moment['score']:.3f}" in output
        assert f"{name}#t={moment['start_s']:.1f},{moment['end_s']:.1f}" in output


def run_in_terminal(command: list[str], columns: int, cwd: Path) -> tuple[int, str]:
    """Run a command in a pseudo-terminal; return its exit code and its output."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=slave, stderr=subprocess.PIPE)
    os.close(slave)
    chunks = []
    with contextlib.suppress(OSError):  # the end of the terminal
        while chunk := os.read(master, 65536):
            chunks.append(chunk)
    os.close(master)
    _, errors = process.communicate()
    return process.returncode, b"".join(chunks).decode() + errors.decode()
