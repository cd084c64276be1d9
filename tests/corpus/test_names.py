"""Names: one spelling for all Unicode forms in file systems, tables and requests."""

import unicodedata
from pathlib import Path

import pytest

from corpus.names import find_path, find_spelling, fold_name, name_video, unify

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def test_both_forms_of_a_name_are_one_name() -> None:
    assert unify(COMPOSED) == unify(DECOMPOSED) == COMPOSED
    assert fold_name("CAFE\u0301") == fold_name(COMPOSED)
    assert unify("a\udcff") == "a\udcff"  # bytes that are not UTF-8 stay unchanged


@pytest.mark.parametrize(
    ("file_name", "video_id"),
    [
        (f"{DECOMPOSED}.mp4", COMPOSED),
        ("a.avi.MP4", "a"),
        ("clip.MPEG4", "clip"),
        ("b_1.5_2.0", "b_1.5_2.0"),
        ("v.divx", "v"),
        (".mp4", ".mp4"),
        ("no suffix", "no suffix"),
    ],
)
def test_an_id_is_the_unified_name_without_suffixes_of_videos(file_name: str, video_id: str) -> None:
    assert name_video(file_name) == video_id


def test_a_path_is_found_in_the_existing_unicode_form(tmp_path: Path) -> None:
    there = tmp_path / f"{DECOMPOSED} 1" / f"{DECOMPOSED}.mp4"
    there.parent.mkdir()
    there.touch()
    assert find_path(tmp_path, f"{COMPOSED} 1/{COMPOSED}.mp4") == there
    assert find_path(tmp_path, there.relative_to(tmp_path).as_posix()) == there
    assert find_path(tmp_path, f"{COMPOSED} 2/x.mp4") == tmp_path / f"{COMPOSED} 2" / "x.mp4"


def test_two_spellings_of_a_name_are_refused_where_neither_is_asked_for() -> None:
    mixed = f"{COMPOSED} {DECOMPOSED}"
    others = [unicodedata.normalize(form, mixed) for form in ("NFC", "NFD")]  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="exists in 2 Unicode forms: .*; remove all but one"):
        find_spelling(mixed, others)
    assert find_spelling("x", others) is None
