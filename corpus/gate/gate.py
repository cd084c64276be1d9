"""Data gate: runs one checkpoint of Great Expectations over all tables, then builds Data Docs."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig

from corpus.gate.docs import publish
from corpus.gate.expectations import RULE_NAME, build_expectations
from corpus.gate.findings import Finding
from corpus.gate.suites import Rule
from corpus.gate.tables import CONTEXT, KEYS, LINE

_MAX_LISTED_ROWS = 100
_SITE = "local"
_POSITIONS = "partial_unexpected_index_list"


def run_gate(tables: Mapping[str, pd.DataFrame], rules: Sequence[Rule], docs_dir: Path) -> list[Finding]:
    """Check all tables in one checkpoint and build Data Docs in `docs_dir`, whether the tables pass or not.

    Raises:
        ValueError: naming the rules that do not fit these tables.
    """
    with tempfile.TemporaryDirectory() as temporary:
        site_dir = Path(temporary) / "site"
        context = _build_context(site_dir)
        definitions = [_define(context, name, table, rules, Path(temporary)) for name, table in tables.items()]
        form = {"result_format": "SUMMARY", "partial_unexpected_count": _MAX_LISTED_ROWS}
        checkpoint = gx.Checkpoint(name="data_gate", validation_definitions=definitions, result_format=form)
        outcome = context.checkpoints.add(checkpoint).run()
        results = outcome.run_results
        outcomes = {(one.suite_name, _name(result)): result for one in results.values() for result in one.results}
        findings = [_to_finding(rule, outcomes[rule.table, rule.name], tables[rule.table]) for rule in rules]
        for identifier, result in results.items():
            _name_rows(result, findings)
            context.validation_results_store.set(identifier, result)  # stored again: now the pages name the rows
        context.build_data_docs(site_names=[_SITE])
        publish(site_dir, docs_dir, findings, tables)
    return findings


def _build_context(site_dir: Path) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for name in list(context.get_site_names()):
        context.delete_data_docs_site(site_name=name)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(site_dir)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "site_index_builder": index, "store_backend": store}
    context.add_data_docs_site(site_name=_SITE, site_config=site)
    return context


def _define(context: Any, name: str, table: pd.DataFrame, rules: Sequence[Rule], folder: Path) -> Any:
    """Return the validation of one table. It reads a file, because a run accepts only one table in memory."""
    path = folder / f"{name}.parquet"
    table.to_parquet(path)
    batch = context.data_sources.add_pandas(name).add_parquet_asset(name, path=path).add_batch_definition("all")
    expectations = build_expectations([rule for rule in rules if rule.table == name], list(table.columns))
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=expectations))
    return context.validation_definitions.add(gx.ValidationDefinition(name=name, data=batch, suite=suite))


def _name(outcome: Any) -> str:
    name: str = outcome.expectation_config.meta[RULE_NAME]
    return name


def _name_rows(result: Any, findings: Sequence[Finding]) -> None:
    """Replace positions of failing rows by their keys and lines in the pages of Great Expectations.

    Great Expectations does this one value at a time, which takes half a minute for 100,000 failing rows.
    """
    by_name = {finding.rule.name: finding for finding in findings if finding.rule.table == result.suite_name}
    key = KEYS[result.suite_name]
    for outcome in result.results:
        finding = by_name[_name(outcome)]
        if finding.rows:
            columns = dict.fromkeys([*finding.rule.columns, key, LINE])
            rows = [{column: row[column] for column in columns} for row in finding.rows]
            outcome.result |= {_POSITIONS: rows, "unexpected_index_list": rows, "unexpected_index_column_names": [key, LINE]}
        outcome.result = _escape(outcome.result)


def _escape(value: Any) -> Any:
    """Escape the values of a result, because pages of Great Expectations show them unescaped."""
    if isinstance(value, dict):
        return {name: _escape(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(one) for one in value]
    return escape(value) if isinstance(value, str) else value


def _to_finding(rule: Rule, outcome: Any, table: pd.DataFrame) -> Finding:
    result = outcome.result
    missing = result.get("partial_missing_list")
    return Finding(
        rule=rule,
        success=bool(outcome.success),
        num_failing=int(result.get("unexpected_count") or 0),
        rows=_read_rows(rule, table, result.get(_POSITIONS) or ()),
        observed=f"no {', '.join(sorted(map(str, missing)))}" if missing else _to_plain(result.get("observed_value")),
        error=_read_error(outcome.exception_info or {}),
    )


def _read_rows(rule: Rule, table: pd.DataFrame, positions: Sequence[int]) -> tuple[Mapping[str, Any], ...]:
    columns = dict.fromkeys([KEYS[rule.table], LINE, *rule.columns, *CONTEXT[rule.table]])
    rows = table.iloc[sorted(positions)][list(columns)].to_dict(orient="records")
    return tuple({str(column): _to_plain(value) for column, value in row.items()} for row in rows)


def _to_plain(value: Any) -> Any:
    """Convert a value to JSON: whole numbers without a fraction, None for missing values."""
    if isinstance(value, list | tuple):
        return [_to_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _to_plain(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        return _to_plain(value.item())
    if value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    return value if isinstance(value, str | int) else str(value)


def _read_error(info: Mapping[str, Any]) -> str:
    """Return the error message of an expectation that failed to run; the report is flat or grouped by metric."""
    parts = [info] if "raised_exception" in info else list(info.values())
    return "; ".join(sorted({str(part["exception_message"]) for part in parts if part.get("raised_exception")}))
