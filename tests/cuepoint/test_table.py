"""The table of moments shows every field in full, at every width and for every name."""

import re
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from cuepoint.table import Row, render
from cuepoint.texts import format_play, format_time, to_printable

LONG = "A title as downloaders write it, with everything that the site says of it (4K) [dQw4w9WgXcQ].mp4"
NAMES = st.one_of(
    st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=240),
    st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"\0", b"x").decode("utf-8", "surrogateescape")),
    st.text(alphabet="日本語 👩🏽‍🚀e\u0301\u202eעברית\x1b\n\t.", min_size=1, max_size=80),
    st.sampled_from(["a.mp4", LONG, "x" * 240]),
)
TIMES = st.floats(min_value=0, max_value=1e6)
MOMENTS = st.tuples(NAMES, TIMES, TIMES, st.floats(-9, 99), st.none() | st.floats(0, 1))


def build_rows(moments: list[tuple[str, float, float, float, float | None]]) -> list[Row]:
    return [
        Row(rank, name, start_s, end_s, score, confidence, format_play(Path("/videos", name.strip("/") or "x"), start_s, end_s))
        for rank, (name, start_s, end_s, score, confidence) in enumerate(moments, start=1)
    ]


@given(st.lists(MOMENTS, min_size=1, max_size=4), st.none() | st.integers(20, 300))
@example([("a.mp4", 4.0, 17.1, 0.5, 0.87), (LONG, 1.0, 2.0, 0.4, None)], 80)
@example([("x" * 240, 4.0, 17.1, 0.5, 0.87)], None)
@example([(LONG, 4.0, 17.1, 0.5, 0.87)], 20)
def test_rank_times_score_confidence_and_file_are_shown_in_full(moments: list, width: int | None) -> None:  # type: ignore[type-arg]
    rows = build_rows(moments)
    lines = render(rows, width, measure=cell_len)
    assert all(to_printable(line) == line for line in lines)
    text = "\n".join(lines)
    for row in rows:
        shown = text[text.index(str(row.rank)) :]
        for field in (format_time(row.start_s), format_time(row.end_s), f"{row.score:.3f}", to_printable(row.play)):
            assert field in shown
        assert to_printable(row.video_id) in shown
        assert row.confidence is None or f"{100 * row.confidence:.0f} %" in shown


@given(st.lists(MOMENTS, min_size=1, max_size=4), st.integers(20, 300))
def test_only_lines_of_names_are_wider_than_the_terminal(moments: list, width: int) -> None:  # type: ignore[type-arg]
    rows = build_rows(moments)
    lines = render(rows, width, measure=cell_len)
    if lines[0].startswith("rank"):
        assert max(map(cell_len, lines)) <= width
        assert len(lines) == len(rows) + 1
    else:
        names = {f"   {to_printable(name)}" for row in rows for name in (row.video_id, row.play)}
        assert max((cell_len(line) for line in lines if line not in names), default=0) <= max(width, 24)


def test_with_room_a_moment_is_a_line_with_aligned_columns() -> None:
    rows = build_rows([("日本.mp4", 4.0, 17.1, 0.5, 0.87), ("b.mp4", 601.0, 602.0, 0.25, None)])
    lines = render(rows, 120, measure=cell_len)
    assert lines[0].split() == ["rank", "time", "score", "confidence", "video", "play"]
    assert lines[1].split() == ["1", "0:04.0", "-", "0:17.1", "0.500", "87", "%", "日本.mp4", "/videos/日本.mp4#t=4.0,17.1"]
    assert len({cell_len(line.partition("/videos")[0]) for line in lines[1:]}) == 1


def test_without_room_a_moment_is_a_block() -> None:
    lines = render(build_rows([(LONG, 4.0, 17.1, 0.5, 0.87)]), 40, measure=cell_len)
    assert lines == ["1  0:04.0 - 0:17.1  score 0.500", "   confidence 87 %", f"   /videos/{LONG}#t=4.0,17.1"]


def test_without_a_terminal_a_moment_is_a_line_for_any_name() -> None:
    lines = render(build_rows([("x" * 240, 4.0, 17.1, 0.5, 0.87)]), None, measure=cell_len)
    assert len(lines) == 2
    assert re.fullmatch(r" +1  0:04\.0 - 0:17\.1  0\.500 +87 %  x{240}  /videos/x{240}#t=4\.0,17\.1", lines[1])
