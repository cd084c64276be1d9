"""Makes Data Docs readable without network: a start page of our own, and pages that load nothing from elsewhere."""

import os
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path

from stages.support.validation.findings import Finding

_STYLE = Path(__file__).with_name("docs.css")
_STYLE_IN_DOCS = Path("static/styles/local.css")
_LOGO_IN_DOCS = Path("static/images/logo-long.png")
_EXTERNAL_TAG = re.compile(r'<script[^>]*\bsrc="https?://[^"]*"[^>]*>\s*</script>|<link[^>]*\bhref="https?://[^"]*"[^>]*/?>')
_EXTERNAL_IMAGE = re.compile(r"https://great-expectations-web-assets[^\"')\s]*")


def cut_network(docs_dir: Path) -> None:
    """Remove what the pages would load from other hosts, and give them a plain style from their own folder."""
    style = docs_dir / _STYLE_IN_DOCS
    style.parent.mkdir(parents=True, exist_ok=True)
    style.write_bytes(_STYLE.read_bytes())
    for page in docs_dir.rglob("*.html"):
        link = f'<link rel="stylesheet" href="{os.path.relpath(style, page.parent)}">'
        content = _EXTERNAL_TAG.sub("", page.read_text(encoding="utf-8"))
        content = _EXTERNAL_IMAGE.sub(os.path.relpath(docs_dir / _LOGO_IN_DOCS, page.parent), content)
        page.write_text(content.replace("</head>", f"{link}</head>", 1), encoding="utf-8")


def write_start_page(docs_dir: Path, findings: Sequence[Finding]) -> None:
    """Write `index.html`: every expectation with the rows that fail it, failures first, and links to the other pages."""
    failed = [finding for finding in findings if not finding.success]
    verdict = f"{len(failed)} of {len(findings)} expectations fail" if failed else f"All {len(findings)} expectations hold"
    rows = "\n".join(_render(finding) for finding in sorted(findings, key=lambda finding: finding.success))
    pages = sorted(page.relative_to(docs_dir).as_posix() for page in docs_dir.rglob("*.html") if page.parent != docs_dir)
    links = "\n".join(
        f'<li><a href="{escape(page)}">{escape(page.partition("/")[0])}: {escape(_title(page))}</a></li>' for page in pages
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data Docs: {verdict}</title><link rel="stylesheet" href="{_STYLE_IN_DOCS.as_posix()}"></head>
<body><h1>{verdict}</h1>
<table><thead><tr><th>Table</th><th>Expectation</th><th>Rule</th><th>Result</th></tr></thead><tbody>
{rows}
</tbody></table>
<h2>Pages of Great Expectations</h2><ul>
{links}
</ul></body></html>
"""
    (docs_dir / "index.html").write_text(page, encoding="utf-8")


def _render(finding: Finding) -> str:
    rule = ", ".join(f"{name} = {value}" for name, value in finding.rule.items())
    if finding.success:
        result = "holds"
    elif finding.error:
        result = f"cannot be checked: {finding.error}"
    elif finding.rows:
        result = f"fails for {finding.num_failing}: {', '.join(finding.rows)}"
    else:
        result = f"fails: found {finding.observed}"
    cells = "".join(f"<td>{escape(text)}</td>" for text in (finding.table, finding.expectation, rule, result))
    return f'<tr class="{"holds" if finding.success else "failed"}">{cells}</tr>'


def _title(page: str) -> str:
    return page.split("/")[1].removesuffix(".html")
