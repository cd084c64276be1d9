"""A folder is indexed once: a second run encodes what is new, and what cannot be read is named and left out."""

import fcntl
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corpus.isolation import Budget, Success
from serving import folder_index
from serving.answers import SearchQuery
from serving.bundle import load_bundle
from serving.clip_index import FaissClipIndex
from serving.collection import Collection, load_collection
from serving.folder import LeftOut
from serving.folder_index import FolderReport, NoReadableVideoError, index_folder
from serving.predictor import MomentPredictor

# The bundle of the small project names no decoder.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:the index .* was made in another environment:UserWarning")]
QUERY = "the red circle spins"
UNREADABLE = LeftOut("notes.mp4", "it cannot be decoded: Invalid data found when processing input")


@pytest.fixture(scope="module")
def bundle_dir(small_project: Any) -> Path:
    folder: Path = small_project.bundle
    return folder


@pytest.fixture(scope="module")
def indexed(small_project: Any, bundle_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four videos of the project in sub-folders, a copy and a file that is no video, and its index."""
    root = tmp_path_factory.mktemp("folder index")
    for number, name in enumerate(("a b.mp4", "ü/a b.mp4", "ü/a b.mov", "#3.mp4")):
        target = root / "videos" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(small_project.raw / "videos" / f"v{number}.mp4", target)
    shutil.copyfile(root / "videos" / "a b.mp4", root / "videos" / "copy.mp4")
    (root / "videos" / "notes.mp4").write_text("no video")
    report = index_folder(root / "videos", bundle_dir=bundle_dir, output_dir=root / "index", num_workers=1)
    assert report == FolderReport(num_videos=5, num_clips=62, num_encoded=4, left_out=(UNREADABLE,))
    return root


@pytest.fixture
def project(indexed: Path, tmp_path: Path) -> Path:
    """A copy of that folder and its index; the index still names the first folder."""
    return Path(shutil.copytree(indexed, tmp_path / "copy"))


def run(project: Path, bundle_dir: Path, **options: Any) -> FolderReport:
    return index_folder(project / "videos", bundle_dir=bundle_dir, output_dir=project / "index", num_workers=1, **options)


def load(project: Path, bundle_dir: Path) -> Collection:
    return load_collection(project / "index", load_bundle(bundle_dir).manifest)


def list_files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def forbid_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(work: Any, paths: Any, **_: Any) -> Any:
        assert not paths, f"nothing was to be encoded, but {paths} are"
        return iter(())

    monkeypatch.setattr(folder_index, "run_isolated", refuse)


def test_a_folder_gives_the_vectors_cells_and_answers_of_the_pipeline(
    indexed: Path, small_project: Any, bundle_dir: Path
) -> None:
    found, expected = load(indexed, bundle_dir), load_collection(small_project.index, load_bundle(bundle_dir).manifest)
    names = {"a b.mp4": "v0", "ü/a b.mp4": "v1", "ü/a b.mov": "v2", "#3.mp4": "v3"}
    assert list(found.videos) == sorted([*names, "copy.mp4"])
    query = np.full(8, 8**-0.5, dtype=np.float32)
    for name, video_id in names.items():
        assert found.videos[name].duration_s == expected.videos[video_id].duration_s
        assert found.videos[name].sha256 == expected.videos[video_id].sha256
        assert (indexed / "videos" / found.videos[name].path).is_file()
        scores, wanted = found.clips.clip_scores(query, [name])[name], expected.clips.clip_scores(query, [video_id])[video_id]
        np.testing.assert_allclose(scores, wanted, atol=1e-3)
        cells, wanted_cells = (one.cells[key].astype(np.float32) for one, key in ((found, name), (expected, video_id)))
        np.testing.assert_allclose(cells, wanted_cells, atol=2e-3)
    answers, wanted_answers = (MomentPredictor.load(bundle_dir, path) for path in (indexed / "index", small_project.index))
    for name, video_id in names.items():
        best, wanted_best = answers.localize(QUERY, name, 1).moments[0], wanted_answers.localize(QUERY, video_id, 1).moments[0]
        assert best[1:3] == pytest.approx(wanted_best[1:3])
        assert best.score == pytest.approx(wanted_best.score, abs=1e-3)


def test_the_index_names_its_folder(indexed: Path, bundle_dir: Path) -> None:
    collection = load(indexed, bundle_dir)
    assert (collection.media_dir, collection.corpus) == (indexed / "videos", "videos")


def test_a_second_run_encodes_and_writes_nothing(indexed: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_encoding(monkeypatch)
    before = list_files(indexed)
    report = run(indexed, bundle_dir)
    after = list_files(indexed)
    assert report == FolderReport(num_videos=5, num_clips=62, num_encoded=0, left_out=(UNREADABLE,))
    assert {path for path in after if after[path] != before.get(path)} <= {indexed / "index" / ".lock"}
    assert after.keys() == before.keys()


def test_one_more_video_is_the_only_one_encoded(project: Path, bundle_dir: Path, small_project: Any) -> None:
    content = (small_project.raw / "videos" / "v0.mp4").read_bytes()
    (project / "videos" / "new.mp4").write_bytes(content + b"\0" * 8)  # the same pictures, another content
    report = run(project, bundle_dir)
    assert (report.num_encoded, report.num_videos) == (1, 6)
    assert "new.mp4" in load(project, bundle_dir).videos


def test_names_alone_are_changed_without_encoding(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_encoding(monkeypatch)
    (project / "videos" / "copy.mp4").rename(project / "videos" / "other.mp4")
    (project / "videos" / "#3.mp4").unlink()
    assert run(project, bundle_dir).num_videos == 4
    collection = load(project, bundle_dir)
    assert list(collection.videos) == sorted(["a b.mp4", "ü/a b.mp4", "ü/a b.mov", "other.mp4"])
    assert collection.media_dir == project / "videos"
    assert len(list((project / "index" / "encoded").rglob("*.cells.npy"))) == 3


def test_a_collection_that_is_open_stays_whole_while_others_take_its_place(
    project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_encoding(monkeypatch)
    predictor = MomentPredictor.load(bundle_dir, project / "index")
    expected = predictor.search(SearchQuery(QUERY, 20))
    for name in ("copy.mp4", "#3.mp4", "a b.mp4"):
        (project / "videos" / name).unlink()
        run(project, bundle_dir)
    assert predictor.search(SearchQuery(QUERY, 20)) == expected
    assert len(load(project, bundle_dir).videos) == 2
    assert len(list((project / "index").glob("files-*"))) == 1


def test_readers_never_meet_a_collection_that_is_not_whole(
    project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_encoding(monkeypatch)
    run(project, bundle_dir)
    manifest = load_bundle(bundle_dir).manifest
    found: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            collection = load_collection(project / "index", manifest)
            found.append(len([cells.copy() for cells in collection.cells.values()]))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(6):
            (project / "videos" / f"{number}.mp4").symlink_to(project / "videos" / "copy.mp4")
            run(project, bundle_dir)
    finally:
        done.set()
        reader.join()
    assert found
    assert found == sorted(found)
    assert set(found) <= set(range(5, 12))


def test_what_an_interrupted_run_has_encoded_is_kept(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(project / "index")
    run_isolated = folder_index.run_isolated

    def interrupt(*arguments: Any, **options: Any) -> Iterator[Any]:
        num_encoded = 0
        for event in run_isolated(*arguments, **options):
            yield event
            num_encoded += isinstance(event, Success)
            if num_encoded == 2:
                raise KeyboardInterrupt

    monkeypatch.setattr(folder_index, "run_isolated", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(project, bundle_dir)
    with pytest.raises(FileNotFoundError, match="no finished index"):
        load(project, bundle_dir)
    monkeypatch.setattr(folder_index, "run_isolated", run_isolated)
    assert run(project, bundle_dir).num_encoded <= 2  # a worker may have been at work on the next one


@pytest.mark.parametrize("name", ["*.npy", "*.json"])
def test_damaged_files_of_the_output_are_made_anew(project: Path, bundle_dir: Path, name: str) -> None:
    run(project, bundle_dir)
    for path in (project / "index").rglob(name):
        path.write_bytes(path.read_bytes()[:-9])
    assert run(project, bundle_dir).num_encoded == 4
    assert len(load(project, bundle_dir).videos) == 5


def test_a_damaged_index_names_the_command_that_repairs_it(project: Path, bundle_dir: Path) -> None:
    run(project, bundle_dir)
    (path,) = (project / "index").glob("files-*/clips.json")
    path.unlink()
    command = f"python -m serving index {project / 'videos'} --output {project / 'index'}"
    with pytest.raises(FileNotFoundError, match=f"clips.json is missing from the index; run: {command}$"):
        load(project, bundle_dir)


def test_another_bundle_encodes_anew(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.video_cache.decoder_version", lambda: "another decoder")
    assert run(project, bundle_dir).num_encoded == 4


def test_when_nothing_can_be_read_the_former_index_stays(project: Path, bundle_dir: Path) -> None:
    shutil.rmtree(project / "videos")
    (project / "videos").mkdir()
    (project / "videos" / "notes.mp4").write_text("no video")
    (project / "videos" / "empty.mp4").touch()
    with pytest.raises(NoReadableVideoError, match=f"^no video of {project / 'videos'} can be indexed$") as caught:
        run(project, bundle_dir)
    assert caught.value.left_out == (LeftOut("empty.mp4", "the file is empty (0 bytes)"), UNREADABLE)
    assert len(load(project, bundle_dir).videos) == 5


def test_a_file_that_costs_too_much_is_tried_again(project: Path, bundle_dir: Path, small_project: Any) -> None:
    content = (small_project.raw / "videos" / "v0.mp4").read_bytes()
    (project / "videos" / "new.mp4").write_bytes(content + b"\0" * 8)
    report = run(project, bundle_dir, budget=Budget(silence_s=0.01, silence_s_per_mebibyte=0.0))
    assert report.left_out == (LeftOut("new.mp4", "the process that read it said nothing for 0 s"), UNREADABLE)
    assert run(project, bundle_dir).num_encoded == 1


def test_a_file_that_is_written_meanwhile_is_left_out(
    project: Path, bundle_dir: Path, small_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project / "videos" / "new.mp4"
    content = (small_project.raw / "videos" / "v0.mp4").read_bytes()
    path.write_bytes(content + b"\0" * 8)
    start = folder_index.run_isolated

    def write_first(*arguments: Any, **options: Any) -> Any:
        path.write_bytes(content + b"\0" * 16)
        return start(*arguments, **options)

    monkeypatch.setattr(folder_index, "run_isolated", write_first)
    reason = "it was written meanwhile; run the command again when it is complete"
    assert run(project, bundle_dir).left_out == (LeftOut("new.mp4", reason), UNREADABLE)


def test_two_runs_do_not_write_one_index(project: Path, bundle_dir: Path) -> None:
    with (project / "index" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is writing .*index; wait until it has ended"):
            run(project, bundle_dir)


def test_a_folder_without_videos_is_refused(tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").touch()
    with pytest.raises(ValueError, match="videos holds no videos; put files such as NAME.mp4 into it"):
        run(tmp_path, bundle_dir)
    assert not (tmp_path / "index").exists()


def test_other_files_are_not_written_over(project: Path, bundle_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "encoded").touch()
    for output in (tmp_path / "mine", project / "videos"):
        with pytest.raises(ValueError, match=f"{output} holds other files than an index; choose another --output"):
            index_folder(project / "videos", bundle_dir=bundle_dir, output_dir=output, num_workers=1)


def test_a_full_disk_leaves_the_former_index_and_the_next_run_works(
    project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "videos" / "#3.mp4").unlink()

    def fail(*_: Any) -> None:
        raise OSError(28, "cannot write clips.safetensors (7 bytes written): No space left on device")

    with monkeypatch.context() as full:
        full.setattr(FaissClipIndex, "save", fail)
        with pytest.raises(OSError, match=r"cannot write clips\.safetensors \(7 bytes written\)"):
            run(project, bundle_dir)
    assert len(load(project, bundle_dir).videos) == 5
    assert not list((project / "index").glob(".unfinished-*"))
    assert run(project, bundle_dir).num_videos == 4
