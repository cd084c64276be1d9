"""Training curves as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any


def format_csv(rows: Sequence[Mapping[str, Any]], *, empty: Sequence[str] = ()) -> bytes:
    """Return rows as CSV with a column per name, in order of first appearance; without rows, the columns `empty`."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or list(empty)
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
