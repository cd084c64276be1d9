"""The folder of the page's files."""

from pathlib import Path

PAGE_DIR = Path(__file__).resolve().parents[1] / "page"
