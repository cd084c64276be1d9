"""The search command prints a table of moments, and an error that names the remedy."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from corpus.files import read_json, write_json
from serving.__main__ import format_time, main
from serving.bundle import Manifest, load_bundle, save_manifest
from serving.calibration import Calibration, Calibrations


def options_of(project: Any) -> list[str]:
    return ["--bundle", str(project.bundle), "--index", str(project.index), "--media", str(project.raw)]


def test_the_command_prints_ranked_moments_with_files_that_exist(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "the red circle moves", "-k", "3", *options_of(small_project)]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", "video", "time", "score", "confidence", "play"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    for row in rows:
        file, _, time = row.split()[-1].partition("#t=")
        start_s, end_s = map(float, time.split(","))
        assert Path(file).is_file()
        assert start_s < end_s


def test_unknown_words_are_named(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "the zebra spins", *options_of(small_project)]) == 0
    assert "the word 'zebra'; it does not count" in capsys.readouterr().err


def test_what_is_not_found_is_said_with_the_best_guess(
    small_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = Calibration(slope=1.0, clip_slope=0.0, intercept=0.0, threshold=1.0)
    calibrations = Calibrations(search=strict, localize=strict, missing={})
    bundle, index = (shutil.copytree(small_project.root / name, tmp_path / name) for name in ("bundle", "index"))
    content = load_bundle(bundle).manifest.model_dump(mode="json")
    manifest = Manifest.model_validate(content | {"calibration": calibrations.model_dump()})
    save_manifest(manifest, bundle)
    write_json(index / "index.json", read_json(index / "index.json") | {"bundle_version": manifest.version})
    options = ["--bundle", str(bundle), "--index", str(index), "--media", str(small_project.raw)]
    assert main(["search", "the red circle moves", "-k", "3", *options]) == 0
    first, _, *rows = capsys.readouterr().out.splitlines()
    assert first == "not found (--min-confidence 0 shows every moment), best guess:"
    assert len(rows) == 1
    assert " % " in rows[0]
    assert main(["search", "the red circle moves", "-k", "3", "--min-confidence", "0", *options]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_without_a_bundle_the_error_names_the_command_that_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a circle", "--bundle", str(tmp_path)]) == 1
    assert "no finished bundle; run: make repro" in capsys.readouterr().err


def test_a_sentence_without_words_is_an_error(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "...", *options_of(small_project)]) == 1
    assert "search: error: the sentence '...' has no words" in capsys.readouterr().err


def test_a_number_of_answers_out_of_range_is_an_error(small_project: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "a circle", "-k", "0", *options_of(small_project)]) == 1
    assert "top_k must be between 1 and 100, got 0" in capsys.readouterr().err


def test_times_are_minutes_and_seconds() -> None:
    assert [format_time(time_s) for time_s in (0, 9.96, 59.96, 61.25, 3600)] == [
        "0:00.0",
        "0:10.0",
        "1:00.0",
        "1:01.2",
        "60:00.0",
    ]


def test_a_search_loads_no_training_tool(small_project: Any) -> None:
    code = (
        "import sys; from serving.__main__ import main; main(sys.argv[1:]);"
        "print(sorted({'torch', 'bentoml', 'dvc', 'mlflow', 'prefect', 'pandas', 'onnx'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "search", "a circle", *options_of(small_project)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).resolve().parents[2])
    assert done.stdout.splitlines()[-1] == "[]"
