"""`cuepoint corpus summary`: counts annotations without videos, and refuses wrong options with a message."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingest_folder import PUBLISHED, row, write_published, write_rows

if TYPE_CHECKING:
    from conftest import Cuepoint

ROOT = Path(__file__).resolve().parents[2]
SUMMARY = ("corpus", "summary")


@pytest.fixture(autouse=True)
def _checkout(tmp_path: Path) -> None:
    """Give the folder of the command the presets, and params that choose the corpus `mine`."""
    params = (ROOT / "params.yaml").read_text().replace("name: shapes", "name: mine")
    (tmp_path / "params.yaml").write_text(params)
    (tmp_path / "presets").symlink_to(ROOT / "presets")


def test_the_summary_is_json_on_stdout_needs_no_videos_and_writes_nothing(cuepoint: "Cuepoint", tmp_path: Path) -> None:
    write_published(tmp_path, PUBLISHED)
    before = {path.name for path in tmp_path.iterdir()}
    result = cuepoint(*SUMMARY, "--reader", "charades_sta", "--root", str(tmp_path))
    summary = json.loads(result.stdout)
    assert (summary["reader"], summary["root"]) == ("charades_sta", str(tmp_path))
    assert list(summary["splits"]) == ["train", "test"]
    assert {key: summary["splits"]["train"][key] for key in ("rows", "queries", "dropped", "clipped")} == {
        "rows": 5, "queries": 4, "dropped": 1, "clipped": 5
    }  # fmt: skip
    assert summary["dropped"][0]["row"] == "charades_sta_train.txt line 5"
    assert len(summary["clipped"]) == 5
    assert {path.name for path in tmp_path.iterdir()} == before


def test_the_summary_reads_the_chosen_corpus_by_default(cuepoint: "Cuepoint", tmp_path: Path) -> None:
    root = tmp_path / "data" / "raw" / "mine"
    root.mkdir(parents=True)
    write_rows(root, *(row(f"v{number}") for number in range(5)))
    result = cuepoint(*SUMMARY)
    assert json.loads(result.stdout)["splits"]["(none published)"]["queries"] == 5


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (
            ["--reader", "charade"],
            1,
            "summary: error: there is no reader named 'charade'; known: activitynet_captions",
        ),
        (
            ["--reader", "tacos", "--root", "nowhere"],
            1,
            "summary: error: nowhere/train.json does not exist; it is in",
        ),
        (["--raeder", "tacos"], 2, "unrecognized arguments: --raeder"),
    ],
)
def test_a_wrong_summary_ends_with_one_message(cuepoint: "Cuepoint", options: list[str], code: int, message: str) -> None:
    result = cuepoint(*SUMMARY, *options)
    assert (result.returncode, result.stdout) == (code, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_help_of_the_summary_names_the_readers(cuepoint: "Cuepoint") -> None:
    result = cuepoint(*SUMMARY, "--help")
    assert result.returncode == 0
    assert "charades_sta, didemo, folder, kpf, qvhighlights, tacos" in " ".join(result.stdout.split())
