"""Publication of Data Docs that work offline, with a start page in front of the pages of Great Expectations."""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from corpus.gate.findings import Finding
from corpus.gate.start_page import build_start_page

_OWN_FILES = {
    "gx_pages.css": Path("static/styles/gx_pages.css"),
    "gx_pages.js": Path("static/scripts/gx_pages.js"),
}
_LOGO = Path("static/images/logo-long.png")
_EXTERNAL_TAG = re.compile(r'<script[^>]*\bsrc="https?://[^"]*"[^>]*>\s*</script>|<link[^>]*\bhref="https?://[^"]*"[^>]*/?>')
_FAVICON = re.compile(r'<link rel="shortcut icon"[^>]*>')
_EXTERNAL_IMAGE = re.compile(r"https://great-expectations-web-assets[^\"')\s]*")


def publish(site_dir: Path, docs_dir: Path, findings: Sequence[Finding], tables: Mapping[str, pd.DataFrame]) -> None:
    """Add the start page to the site that Great Expectations built, and replace the previous site."""
    pages = sorted(page for page in site_dir.rglob("*.html") if page.parent != site_dir)
    for name, path in _OWN_FILES.items():
        (site_dir / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name(name), site_dir / path)
    for page in pages:
        page.write_text(_cut_network(page.read_text(encoding="utf-8"), page.parent, site_dir), encoding="utf-8")
    addresses = [page.relative_to(site_dir).as_posix() for page in pages]
    (site_dir / "index.html").write_text(build_start_page(findings, tables, addresses), encoding="utf-8")
    _replace(site_dir, docs_dir)


def _cut_network(content: str, folder: Path, site_dir: Path) -> str:
    """Remove resources of other hosts from a page, and link the style and script of this site."""
    style, script = (os.path.relpath(site_dir / path, folder) for path in _OWN_FILES.values())
    own = f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{style}"><script src="{script}" defer></script>'
    content = _FAVICON.sub("", _EXTERNAL_TAG.sub("", content))
    content = _EXTERNAL_IMAGE.sub(os.path.relpath(site_dir / _LOGO, folder), content)
    return content.replace("</head>", f"{own}</head>", 1)


def _replace(site_dir: Path, docs_dir: Path) -> None:
    """Copy the new site beside the old one before the swap, so that readers never find half a site."""
    complete = docs_dir.with_name(f".{docs_dir.name}.new")
    shutil.rmtree(complete, ignore_errors=True)
    shutil.copytree(site_dir, complete)
    shutil.rmtree(docs_dir, ignore_errors=True)
    complete.rename(docs_dir)
