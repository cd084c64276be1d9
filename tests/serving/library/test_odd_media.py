"""Every odd file gets a form that plays completely, with the pictures of the index at their times and with its sound."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from corpus.media import UndecodableError, probe, read_frames, read_shown_size
from corpus.media.pictures.thumbnails import save_thumbnails
from numbered_clips import read_number
from odd_media import ODD_FILES, OddFile
from serving.library.playable import Form, find_form, write_playable

pytestmark = pytest.mark.slow

FILES = [pytest.param(file, id=name) for name, file in ODD_FILES.items() if not file.refused_with]
REFUSED = [pytest.param(file, id=name) for name, file in ODD_FILES.items() if file.refused_with]


class Converted(NamedTuple):
    """An odd file and the media that the service serves for it."""

    file: OddFile
    path: Path
    form: Path


def convert(path: Path) -> Path:
    """Return the media that the service serves for a file."""
    form, target = find_form(path), path.with_name("form.mp4")
    if form.how == "as_is":
        return path
    write_playable(path, target, form, report=lambda _: None)
    assert find_form(target) == Form("as_is", "video/mp4")
    return target


@pytest.fixture(scope="module", params=FILES)
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """All accepted odd files, converted once."""
    path = request.param.write(tmp_path_factory.mktemp("odd"))
    return Converted(request.param, path, convert(path))


def test_the_form_shows_the_pictures_of_the_index(converted: Converted) -> None:
    file, form = converted.file, converted.form
    info = probe(form)
    assert info.duration_s == pytest.approx(file.duration_s, abs=file.tolerance_s)
    assert info.has_audio == (file.has_sound or file.num_damaged_audio > 0)  # gaps are silent
    times_s = (np.array(file.starts_s) + np.array([*file.starts_s[1:], file.duration_s])) / 2
    shown = [read_number(image) for image in read_frames(form, times_s, 32)]
    differences = np.abs(np.subtract(shown, file.numbers))
    assert differences.max() <= file.slack
    assert (differences > 0).sum() <= 12 * file.slack


def test_the_form_has_the_length_in_the_index(converted: Converted) -> None:
    step_s = min(0.1, np.diff(converted.file.starts_s).min())
    assert probe(converted.form).duration_s == pytest.approx(probe(converted.path).duration_s, abs=step_s)


def test_thumbnails_have_the_proportions_of_the_form(converted: Converted, tmp_path: Path) -> None:
    save_thumbnails(converted.path, tmp_path, count=2)
    shown = read_shown_size(converted.form)
    for number in range(2):
        with Image.open(tmp_path / f"{number}.jpg") as picture:
            assert picture.width / picture.height == pytest.approx(shown.width / shown.height, rel=0.03)


@pytest.mark.parametrize("file", REFUSED)
def test_a_refused_file_causes_no_other_error(file: OddFile, tmp_path: Path) -> None:
    path = file.write(tmp_path)
    with suppress(UndecodableError):  # a file that is too damaged for the index may still play
        convert(path)
