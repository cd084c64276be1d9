"""An upload exists completely or not at all, whichever step a process was killed at."""

from pathlib import Path
from typing import Any

import pytest

from serving.library import uploads
from serving.library.uploads import ORIGINAL, UploadRecord, UploadResult, UploadStore, clean_title, name_upload

SHA = "0123456789abcdef" * 4
STEPS = ["write_json", "sync_folder", "rename", "second sync_folder"]


class KilledError(BaseException):
    """The process ends here."""


def receive(store: UploadStore, sha256: str = SHA) -> UploadRecord:
    folder = store.start()
    (folder / ORIGINAL).write_bytes(b"video")
    return store.accept(folder, title="a clip.mp4", sha256=sha256, size_bytes=5)


def kill_at(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = {"sync_folder": 0}
    sync_folder = uploads.sync_folder

    def kill(*_: Any, **__: Any) -> None:
        raise KilledError

    def sync(folder: Path) -> None:
        calls["sync_folder"] += 1
        if calls["sync_folder"] == (1 if step == "sync_folder" else 2):
            raise KilledError
        sync_folder(folder)

    if step == "write_json":
        monkeypatch.setattr(uploads, "write_json", kill)
    elif step == "rename":
        monkeypatch.setattr(Path, "rename", kill)
    else:
        monkeypatch.setattr(uploads, "sync_folder", sync)


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_at_any_step_leaves_a_complete_upload_or_none(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = UploadStore(tmp_path)
    with monkeypatch.context() as killing:
        kill_at(step, killing)
        with pytest.raises(KilledError):
            receive(store)
    found = UploadStore(tmp_path).read_records()
    assert len(found) == (1 if step == "second sync_folder" else 0)
    assert all((tmp_path / "uploads" / record.video_id / ORIGINAL).read_bytes() == b"video" for record in found)
    assert not list((tmp_path / "incoming").iterdir())


def test_accepted_uploads_exist_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    record = receive(UploadStore(tmp_path))
    store = UploadStore(tmp_path)
    assert store.read_records() == [record]
    assert store.read_result(record.video_id) is None
    store.save_result(record.video_id, UploadResult("ready", duration_s=2.0))
    assert UploadStore(tmp_path).read_result(record.video_id) == UploadResult("ready", duration_s=2.0)


def test_uploads_keep_their_order_over_starts(tmp_path: Path) -> None:
    numbers = [receive(UploadStore(tmp_path), sha256=f"{number}" * 64).number for number in range(3)]
    assert numbers == [1, 2, 3]


def test_a_file_that_was_refused_is_not_kept_and_may_come_again(tmp_path: Path) -> None:
    store = UploadStore(tmp_path)
    record = receive(store)
    store.save_result(record.video_id, UploadResult("failed", reason="why"))
    assert not (store.find_folder(record.video_id) / ORIGINAL).exists()
    again = receive(store)
    assert (again.video_id, store.read_result(again.video_id)) == (record.video_id, None)
    assert (store.find_folder(again.video_id) / ORIGINAL).exists()


def test_a_removed_upload_stays_removed_even_if_a_worker_still_writes_for_it(tmp_path: Path) -> None:
    store = UploadStore(tmp_path)
    record = receive(store)
    store.remove(record.video_id)
    late = store.find_folder(record.video_id)
    late.mkdir()
    (late / "0.jpg").write_bytes(b"late")
    assert store.read_records() == []
    assert UploadStore(tmp_path).read_records() == []
    assert not late.exists()


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    record = receive(UploadStore(tmp_path))
    (tmp_path / "uploads" / record.video_id / "record.json").write_text("{}")
    with pytest.raises(ValueError, match=r"record\.json is damaged .*; remove the folder .* and restart the service"):
        UploadStore(tmp_path)


@pytest.mark.parametrize("video_id", ["", "..", "upload-../../../../etc", "upload-" + "g" * 16, "v1"])
def test_only_ids_of_uploads_name_a_folder(video_id: str, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="is not the id of an upload"):
        UploadStore(tmp_path).find_folder(video_id)


def test_equal_contents_have_one_id() -> None:
    assert name_upload(SHA) == "upload-0123456789abcdef"


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\clip.mov", "clip.mov"),
        (" a \t\r\n b\0\u202e ", "a b"),
        ("", "untitled"),
        ("/", "untitled"),
        ("x" * 300, "x" * 200),
        ("Fête été.mp4", "Fête été.mp4"),
    ],
)
def test_titles_are_one_line_of_bounded_length(title: str, shown: str) -> None:
    assert clean_title(title) == shown


def test_a_title_has_one_unicode_form() -> None:
    assert clean_title("cafe\u0301.mp4") == clean_title("caf\u00e9.mp4") == "caf\u00e9.mp4"
