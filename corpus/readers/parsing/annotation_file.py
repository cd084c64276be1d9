"""Search for the annotation file in a user's folder, in any case and with several suffixes."""

from pathlib import Path

JSONL, CSV = "annotations.jsonl", "annotations.csv"
_STEM = "annotations"
_MAX_NAMED = 5
_JSON_SUFFIXES, _TABLE_SUFFIXES = (".jsonl", ".ndjson", ".json"), (".csv", ".tsv", ".txt")
_SPREADSHEETS = frozenset({".xlsx", ".xls", ".xlsm", ".ods", ".numbers"})


def find_annotations(root: Path) -> Path:
    """Return the file of `root` with the stem annotations, in any case; without any, `annotations.jsonl`.

    Raises:
        ValueError: when there are several, or only a spreadsheet or files with other names.
    """
    suffixes = (*_JSON_SUFFIXES, *_TABLE_SUFFIXES)
    entries = sorted(path for path in root.iterdir() if not path.name.startswith(".")) if root.is_dir() else []
    named = [path for path in entries if path.name.lower().partition(".")[0] == _STEM]
    found = [path for suffix in suffixes for path in named if path.suffix.lower() == suffix]
    if len(found) > 1:
        number = "both" if len(found) == 2 else "all"
        raise ValueError(f"{' and '.join(map(str, found))} {number} exist; keep only the file that holds the annotations")
    if found:
        return found[0]
    if sheet := next((path for path in named if path.suffix.lower() in _SPREADSHEETS), None):
        raise ValueError(f'{sheet} is a spreadsheet, which is not read; save it as {root / CSV} (in Excel: "CSV UTF-8")')
    if others := [path.name for path in entries if path.is_file() and path.suffix.lower() in suffixes[:-1]]:
        raise ValueError(
            f"{root / JSONL} does not exist; put videos/ and {JSONL} or {CSV} there; "
            f"found {', '.join(others[:_MAX_NAMED])}: rename the one that holds the annotations"
        )
    return root / JSONL


def is_table(path: Path) -> bool:
    """Tell whether the suffix of an annotation file means a table instead of JSON."""
    return path.suffix.lower() in _TABLE_SUFFIXES
