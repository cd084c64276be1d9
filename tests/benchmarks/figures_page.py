"""Pages with figures written by a benchmark and conclusions written by hand."""

from collections.abc import Sequence
from pathlib import Path


def replace_figures(page: Path, lines: Sequence[str], *, kept: str) -> None:
    """Replace the lines of a page up to the heading `kept`."""
    _, mark, conclusions = page.read_text(encoding="utf-8").partition(kept) if page.is_file() else ("", "", "")
    page.write_text("\n".join(lines) + "\n\n" + mark + conclusions, encoding="utf-8")
