"""A page whose figures a benchmark writes and whose conclusions a person does."""

from collections.abc import Sequence
from pathlib import Path


def replace_figures(page: Path, lines: Sequence[str], *, kept: str) -> None:
    """Write the lines over a page, but for what begins with the heading that is `kept`."""
    _, mark, conclusions = page.read_text(encoding="utf-8").partition(kept) if page.is_file() else ("", "", "")
    page.write_text("\n".join(lines) + "\n\n" + mark + conclusions, encoding="utf-8")
