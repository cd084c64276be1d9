"""DVC stage `validate`: data/corpus/ -> data/reports/validation.json, and Data Docs in data/reports/data_docs/."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpus.files import write_json
from stages.support import paths
from stages.support.entry import TELEMETRY_OFF, run_stage
from stages.support.params import ValidateParams, load_params
from stages.support.validation.tables import load_tables

REPORT = paths.REPORTS / "validation.json"
DATA_DOCS = paths.REPORTS / "data_docs"  # not an output of the stage: pages carry the time they were made


def validate_corpus(corpus_dir: Path, params: ValidateParams, *, docs_dir: Path) -> dict[str, Any]:
    """Check the tables of a corpus and build Data Docs; return the report: success, counts, every expectation's result."""
    tables = load_tables(corpus_dir)
    os.environ.setdefault("GX_ANALYTICS_ENABLED", TELEMETRY_OFF["GX_ANALYTICS_ENABLED"])  # read when it is loaded
    from stages.support.validation.gate import TableSuite, run_suites  # Great Expectations takes seconds to load
    from stages.support.validation.suites import build_query_expectations, build_video_expectations

    suites = [
        TableSuite("videos", tables.videos, "video_id", build_video_expectations()),
        TableSuite("queries", tables.queries, "qid", build_query_expectations(max_query_words=params.max_query_words)),
    ]
    findings = run_suites(suites, docs_dir)
    return {
        "success": all(finding.success for finding in findings),
        "rows": {"videos": len(tables.videos), "queries": len(tables.queries)},
        "expectations": {"checked": len(findings), "failed": sum(not finding.success for finding in findings)},
        "failures": [finding.describe() for finding in findings if not finding.success],
        "findings": [asdict(finding) for finding in findings],
    }


def describe_failures(failures: Sequence[str], docs_dir: Path) -> str:
    """Return the message that stops the pipeline."""
    lines = "\n".join(f"  {failure}" for failure in failures)
    return (
        f"the corpus is not fit for training, {len(failures)} expectations fail:\n{lines}\n"
        f"see {docs_dir / 'index.html'}; correct the annotations or videos of the corpus, then run: dvc repro"
    )


def main() -> None:
    """Check the corpus, write the report, and stop the pipeline when something fails."""
    report = validate_corpus(paths.CORPUS, load_params().validate_, docs_dir=DATA_DOCS)
    write_json(REPORT, report)
    if not report["success"]:
        raise ValueError(describe_failures(report["failures"], DATA_DOCS))
    rows = report["rows"]
    print(f"{report['expectations']['checked']} expectations hold of {rows['videos']} videos and {rows['queries']} queries")


if __name__ == "__main__":
    run_stage(main, name="validate")
