"""Stage `render`: equal bytes for any number of workers, and files that the reader accepts."""

from pathlib import Path

import pytest

from corpus.files import read_jsonl, sha256_file
from corpus.schema_files import load_yaml, validate
from corpus.shapes.params import ShapesParams, SplitSizes
from corpus.shapes.scenes import draw_scenes
from stages.render import main, render, render_videos

PRESETS = Path(__file__).resolve().parents[2] / "presets" / "render"


def load(size: str, **videos: int) -> ShapesParams:
    path = PRESETS / f"{size}.yaml"
    params: ShapesParams = validate(ShapesParams, load_yaml(path), source=path)
    return params.model_copy(update={"videos": SplitSizes(**videos)}) if videos else params


def hash_folder(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_bytes_depend_on_the_seed_and_not_on_the_workers(tmp_path: Path) -> None:
    size = load("tiny", train=4, val=1, test=2, test_unseen=1, test_background=2, test_shifted=1)
    for name, seed, workers in (("one", 1, 1), ("two", 1, 2), ("other", 2, 2)):
        render(size, seed=seed, folder=tmp_path / name, workers=workers)
    assert hash_folder(tmp_path / "one") == hash_folder(tmp_path / "two")
    assert hash_folder(tmp_path / "one") != hash_folder(tmp_path / "other")


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_order_of_work(tmp_path: Path) -> None:
    size = load("tiny", train=5, val=1, test=1)
    scenes = list(draw_scenes(size, seed=4))
    render_videos(scenes, size, folder=tmp_path / "forwards", workers=1)
    render_videos(scenes[::-1], size, folder=tmp_path / "backwards", workers=2)
    assert hash_folder(tmp_path / "forwards") == hash_folder(tmp_path / "backwards")


@pytest.mark.slow
def test_every_annotated_video_is_there_and_every_video_is_annotated(tmp_path: Path) -> None:
    render(load("tiny", train=3, val=1, test=2), seed=1, folder=tmp_path, workers=2)
    rows = [row for _, row in read_jsonl(tmp_path / "annotations.jsonl")]
    assert {row["vid"] for row in rows} == {path.stem for path in (tmp_path / "videos").glob("*.mp4")}
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert (tmp_path / "contact_sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("size", ["tiny", "default"])
def test_presets_load(size: str) -> None:
    assert load(size).videos.train > 0


def test_a_misspelt_size_is_refused_with_the_known_sizes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = PRESETS.parents[1]
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text().replace("size: default", "size: defualt"))
    (tmp_path / "presets").symlink_to(root / "presets")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="no render named 'defualt'; known: default, tiny"):
        main()
