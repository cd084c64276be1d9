"""Times, files and names as printed on a terminal."""

import subprocess
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuepoint.texts import format_play, format_time, join_command, to_printable


def test_times_are_minutes_and_seconds() -> None:
    expected = ["0:00.0", "0:10.0", "1:00.0", "1:01.2", "60:00.0"]
    assert [format_time(time_s) for time_s in (0, 9.96, 59.96, 61.25, 3600)] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/videos/a b ü.mp4", "/videos/a b ü.mp4#t=1.5,60.0"),
        ("/videos/clip #1.mp4", "file:///videos/clip%20%231.mp4#t=1.5,60.0"),
        ("/videos/100%.mp4", "file:///videos/100%25.mp4#t=1.5,60.0"),
        ("/videos/a\x1b[2J\n.mp4", "file:///videos/a%1B%5B2J%0A.mp4#t=1.5,60.0"),
        ("/videos/\u202egp4.exe", "file:///videos/%E2%80%AEgp4.exe#t=1.5,60.0"),
        ("/videos/\udcff.mp4", "file:///videos/%FF.mp4#t=1.5,60.0"),
    ],
)
def test_the_time_to_play_follows_a_file_name_that_players_take(name: str, expected: str) -> None:
    assert format_play(Path(name), 1.5, 60.0) == expected


def test_a_file_that_the_encoding_of_the_terminal_lacks_is_an_address() -> None:
    assert format_play(Path("/ü.mp4"), 0, 1, encoding="ascii") == "file:///%C3%BC.mp4#t=0.0,1.0"


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_no_control_character_is_left(text: str) -> None:
    shown = to_printable(text)
    assert all(unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp") for one in shown)
    shown.encode()
    assert to_printable(shown) == shown


def test_printable_text_stays() -> None:
    text = "naïve 日本語 👩\u200d🚀 e\u0301 עברית a\\b"
    assert to_printable(text) == text
    assert to_printable("a\x1b[2J\nb\u2028\u202e\udcff") == r"a\x1b[2J\nb\u2028\u202e\udcff"
    assert to_printable("a\nb", keep="\n") == "a\nb"


@pytest.mark.parametrize("word", ["a b", "it's", "$b `id` \\", "a\nb\x1b'\\", "é日本", "-x", "#"])
def test_a_command_is_typed_so_that_a_shell_reads_its_words(word: str) -> None:
    command = join_command(["printf", "%s", word])
    assert to_printable(command) == command
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == word
