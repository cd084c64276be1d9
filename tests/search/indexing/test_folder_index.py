"""A folder is indexed once: a second run encodes only new files, and unreadable files are named and left out."""

import fcntl
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from corpus.isolation import Budget, Success
from odd_media import ODD_FILES
from search.answers import SearchQuery
from search.bundle import load_bundle
from search.clip_index import FaissClipIndex
from search.collection import Collection, load_collection
from search.indexing import folder_index
from search.indexing.folder_index import FolderReport, NoReadableVideoError, Note, index_folder
from search.indexing.folder_videos import LeftOut
from search.predictor import MomentPredictor

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
    """A folder with the four videos of the project in sub-folders, a copy and a file that is not a video, and its index."""
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


def read_cells(collection: Collection, video_id: str) -> NDArray[np.float32]:
    return collection.cells[video_id].streams["video"].array.astype(np.float32)


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
        cells, wanted_cells = (read_cells(one, key) for one, key in ((found, name), (expected, video_id)))
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


def test_repairs_are_noted_in_every_run(project: Path, bundle_dir: Path) -> None:
    ODD_FILES["unknown_sound.mp4"].write(project / "videos")
    note = Note("unknown_sound.mp4", "its sound stream 1 is left out: there is no decoder for the codec 'apac'")
    first, again = run(project, bundle_dir), run(project, bundle_dir)
    assert (first.num_encoded, again.num_encoded) == (1, 0)
    assert first.notes == again.notes == (note,)


def test_one_more_video_is_the_only_one_encoded(project: Path, bundle_dir: Path, small_project: Any) -> None:
    content = (small_project.raw / "videos" / "v0.mp4").read_bytes()
    (project / "videos" / "new.mp4").write_bytes(content + b"\0" * 8)  # the same pictures, another content
    report = run(project, bundle_dir)
    assert (report.num_encoded, report.num_videos) == (1, 6)
    assert "new.mp4" in load(project, bundle_dir).videos


def test_new_names_need_no_encoding(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_encoding(monkeypatch)
    (project / "videos" / "copy.mp4").rename(project / "videos" / "other.mp4")
    (project / "videos" / "#3.mp4").unlink()
    assert run(project, bundle_dir).num_videos == 4
    collection = load(project, bundle_dir)
    assert list(collection.videos) == sorted(["a b.mp4", "ü/a b.mp4", "ü/a b.mov", "other.mp4"])
    assert collection.media_dir == project / "videos"
    assert len(list((project / "index" / "encoded").rglob("*.cells-video.npy"))) == 3


def test_an_open_collection_stays_whole_while_new_ones_replace_it(
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


def test_readers_never_see_a_partial_collection(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_encoding(monkeypatch)
    run(project, bundle_dir)
    manifest = load_bundle(bundle_dir).manifest
    found: list[int] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            collection = load_collection(project / "index", manifest)
            found.append(len([cells.streams["video"].array.copy() for cells in collection.cells.values()]))

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


def test_an_interrupted_run_keeps_what_it_encoded(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert run(project, bundle_dir).num_encoded <= 2  # a worker may have started the next one


@pytest.mark.parametrize("name", ["*.npy", "*.json"])
def test_damaged_files_of_the_output_are_rebuilt(project: Path, bundle_dir: Path, name: str) -> None:
    run(project, bundle_dir)
    for path in (project / "index").rglob(name):
        path.write_bytes(path.read_bytes()[:-9])
    assert run(project, bundle_dir).num_encoded == 4
    assert len(load(project, bundle_dir).videos) == 5


def test_a_damaged_index_names_the_command_that_repairs_it(project: Path, bundle_dir: Path) -> None:
    run(project, bundle_dir)
    (path,) = (project / "index").glob("files-*/clips.json")
    path.unlink()
    command = f"cuepoint index {project / 'videos'} --output {project / 'index'}"
    with pytest.raises(FileNotFoundError, match=f"clips.json is missing from the index; run: {command}$"):
        load(project, bundle_dir)


def test_another_bundle_encodes_all_files_again(project: Path, bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.indexing.video_cache.decoder_version", lambda: "another decoder")
    assert run(project, bundle_dir).num_encoded == 4


def test_the_former_index_stays_when_no_video_can_be_read(project: Path, bundle_dir: Path) -> None:
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
    assert report.left_out == (LeftOut("new.mp4", "the process that read it made no progress for 0 s"), UNREADABLE)
    assert run(project, bundle_dir).num_encoded == 1


def test_a_file_that_changes_during_the_run_is_left_out(
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
    reason = "the file changed during the run; run the command again when it is complete"
    assert run(project, bundle_dir).left_out == (LeftOut("new.mp4", reason), UNREADABLE)


def test_two_runs_do_not_write_one_index(project: Path, bundle_dir: Path) -> None:
    with (project / "index" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process is writing .*index; wait until it has ended"):
            run(project, bundle_dir)


def test_a_folder_without_videos_is_refused(tmp_path: Path, bundle_dir: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "notes.txt").touch()
    with pytest.raises(
        ValueError,
        match=r"videos holds no videos \(passed over: 1 file that is not a video: notes\.txt \(text\)\); put files",
    ):
        run(tmp_path, bundle_dir)
    assert not (tmp_path / "index").exists()


def test_other_files_are_not_written_over(project: Path, bundle_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "encoded").touch()
    for output in (tmp_path / "mine", project / "videos"):
        with pytest.raises(ValueError, match=f"{output} holds files that belong to no index; choose another --output"):
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


@pytest.mark.slow
def test_a_folder_of_videos_with_sound_gives_the_answers_of_the_pipeline(two_stream_project: Any, tmp_path: Path) -> None:
    bundle_dir, folder = two_stream_project.bundle, two_stream_project.raw / "videos"
    report = index_folder(folder, bundle_dir=bundle_dir, output_dir=tmp_path / "index", num_workers=1)
    assert report == FolderReport(num_videos=4, num_clips=52, num_encoded=4, left_out=())
    assert index_folder(folder, bundle_dir=bundle_dir, output_dir=tmp_path / "index", num_workers=1).num_encoded == 0
    answers, wanted_answers = (MomentPredictor.load(bundle_dir, path) for path in (tmp_path / "index", two_stream_project.index))
    for number in range(4):
        best = answers.localize(QUERY, f"v{number}.mp4", 1).moments[0]
        wanted = wanted_answers.localize(QUERY, f"v{number}", 1).moments[0]
        assert best[1:3] == pytest.approx(wanted[1:3])
        assert best.score == pytest.approx(wanted.score, abs=1e-3)
