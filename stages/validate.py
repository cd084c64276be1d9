"""DVC stage `validate`: data/corpus/ -> validation.json, expectations.json and the pages data_docs/ in data/reports/."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from corpus.files import write_json
from corpus.gate.findings import Finding
from corpus.gate.suites import Rule, load_suite
from corpus.gate.tables import load_tables
from pipeline import paths
from pipeline.components.presets import PRESETS
from pipeline.entry import TELEMETRY_OFF, run_stage
from pipeline.identity.chosen import list_stream_kinds
from pipeline.params import load_params

REPORT = paths.REPORTS / "validation.json"  # the verdict that later stages watch, equal for all suites that pass
FINDINGS = paths.REPORTS / "expectations.json"  # every rule with its findings
DATA_DOCS = paths.REPORTS / "data_docs"  # not an output of the stage, because the pages contain a time


class Validated(NamedTuple):
    """Findings of the gate on a corpus, and the row counts of its tables."""

    findings: Sequence[Finding]
    rows: dict[str, int]

    @property
    def stopping(self) -> list[Finding]:
        """The rules that stop the pipeline."""
        return [finding for finding in self.findings if finding.stops]

    @property
    def warnings(self) -> list[Finding]:
        """The broken rules that let the corpus pass."""
        return [finding for finding in self.findings if not finding.success and not finding.stops]

    def to_verdict(self) -> dict[str, Any]:
        """Return the content of `validation.json`, without the rules that hold, so that a changed bound retrains nothing."""
        failures = [finding.to_json() for finding in self.stopping]
        return {"success": not failures, "rows": self.rows, "failures": failures}


def validate_corpus(corpus_dir: Path, rules: Sequence[Rule], *, docs_dir: Path) -> Validated:
    """Check the tables of a corpus against a suite, and always build Data Docs.

    Raises:
        ValueError: naming a row of the corpus that is not a JSON object, or an unknown expectation of the suite.
    """
    tables = load_tables(corpus_dir)._asdict()
    os.environ.setdefault("GX_ANALYTICS_ENABLED", TELEMETRY_OFF["GX_ANALYTICS_ENABLED"])  # read when it is loaded
    from corpus.gate.gate import run_gate  # Great Expectations takes seconds to load

    findings = run_gate(tables, rules, docs_dir)
    return Validated(findings, {name: len(table) for name, table in tables.items()})


def describe_failures(failures: Sequence[Finding], docs_dir: Path) -> str:
    """Return the message that stops the pipeline."""
    lines = "\n".join(f"  {failure.describe()}" for failure in failures)
    number = "1 rule is" if len(failures) == 1 else f"{len(failures)} rules are"
    return (
        f"the corpus is not fit for training; {number} broken:\n{lines}\n"
        f"see {docs_dir / 'index.html'}; correct the annotations or videos of the corpus, then run: dvc repro"
    )


def main() -> None:
    """Check the corpus, write the reports, and stop the pipeline if a critical rule is broken."""
    params = load_params()
    kinds = set(list_stream_kinds(params.model_dump(by_alias=True)).values())
    rules = [rule for rule in load_suite(params.validate_.suite, PRESETS / "suite") if rule.applies_to(kinds)]
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
