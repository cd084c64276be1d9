"""DVC stage `validate`: data/corpus/ -> validation.json, expectations.json and, for people, data_docs/ in data/reports/."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import write_json
from stages.support import paths
from stages.support.entry import TELEMETRY_OFF, run_stage
from stages.support.params import load_params
from stages.support.validation.findings import Finding
from stages.support.validation.suites import Rule, load_suite
from stages.support.validation.tables import load_tables

REPORT = paths.REPORTS / "validation.json"  # the verdict: what later stages watch, the same for every suite that passes
FINDINGS = paths.REPORTS / "expectations.json"  # every rule with what it found
DATA_DOCS = paths.REPORTS / "data_docs"  # not an output of the stage: pages carry the time they were made


class Validated(NamedTuple):
    """What the gate found of a corpus, and how many rows its tables have."""

    findings: Sequence[Finding]
    rows: dict[str, int]

    @property
    def stopping(self) -> list[Finding]:
        """The rules that stop the pipeline."""
        return [finding for finding in self.findings if finding.stops]

    @property
    def warnings(self) -> list[Finding]:
        """The rules that do not hold and let the corpus pass."""
        return [finding for finding in self.findings if not finding.success and not finding.stops]

    def to_verdict(self) -> dict[str, Any]:
        """Return the content of `validation.json`: no rule that holds, so that a changed bound retrains nothing."""
        failures = [finding.to_json() for finding in self.stopping]
        return {"success": not failures, "rows": self.rows, "failures": failures}


def validate_corpus(corpus_dir: Path, rules: Sequence[Rule], *, docs_dir: Path) -> Validated:
    """Check the tables of a corpus against a suite, and build Data Docs, whether it passes or not.

    Raises:
        ValueError: naming what is no JSON object in the corpus, or no expectation in the suite.
    """
    tables = load_tables(corpus_dir)._asdict()
    os.environ.setdefault("GX_ANALYTICS_ENABLED", TELEMETRY_OFF["GX_ANALYTICS_ENABLED"])  # read when it is loaded
    from stages.support.validation.gate import run_gate  # Great Expectations takes seconds to load

    findings = run_gate(tables, rules, docs_dir)
    return Validated(findings, {name: len(table) for name, table in tables.items()})


def describe_failures(failures: Sequence[Finding], docs_dir: Path) -> str:
    """Return the message that stops the pipeline."""
    lines = "\n".join(f"  {failure.describe()}" for failure in failures)
    number = "1 rule is" if len(failures) == 1 else f"{len(failures)} rules are"
    return (
        f"the corpus is not fit for training, {number} broken:\n{lines}\n"
        f"see {docs_dir / 'index.html'}; correct the annotations or videos of the corpus, then run: dvc repro"
    )


def main() -> None:
    """Check the corpus, write the reports, and stop the pipeline when a critical rule does not hold."""
    rules = load_suite(load_params().validate_.suite)
    found = validate_corpus(paths.CORPUS, rules, docs_dir=DATA_DOCS)
    write_json(REPORT, found.to_verdict())
    write_json(FINDINGS, [finding.to_json() for finding in found.findings])
    for warning in found.warnings:
        print(f"warning: {warning.describe()}")
    if found.stopping:
        raise ValueError(describe_failures(found.stopping, DATA_DOCS))
    number = sum(finding.success for finding in found.findings)
    print(
        f"{number} rules hold of {found.rows['videos']} videos and {found.rows['queries']} sentences: {DATA_DOCS / 'index.html'}"
    )


if __name__ == "__main__":
    run_stage(main, name="validate")
