"""Runs the data gate in Great Expectations: a deterministic report, and Data Docs for people."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig

from stages.support.validation.docs import cut_network, write_start_page
from stages.support.validation.findings import Finding

_MAX_LISTED_ROWS = 100
_SITE = "local"
_BOOKKEEPING = frozenset({"batch_id"})


@dataclass(frozen=True, slots=True)
class TableSuite:
    """A table, the column that names its rows, and what must hold of it."""

    name: str
    table: pd.DataFrame
    key: str
    expectations: Sequence[Any]


def run_suites(suites: Sequence[TableSuite], docs_dir: Path) -> list[Finding]:
    """Check all tables and build Data Docs into `docs_dir`, whether they pass or not."""
    with tempfile.TemporaryDirectory() as temporary:
        context = _build_context(Path(temporary))
        findings = [finding for suite in suites for finding in _run_suite(context, suite)]
        context.build_data_docs(site_names=[_SITE])
        cut_network(Path(temporary))
        write_start_page(Path(temporary), findings)
        shutil.rmtree(docs_dir, ignore_errors=True)
        shutil.copytree(temporary, docs_dir)
    return findings


def _build_context(docs_dir: Path) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    for site in list(context.get_site_names()):
        context.delete_data_docs_site(site_name=site)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs_dir)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site = {"class_name": "SiteBuilder", "show_how_to_buttons": False, "site_index_builder": index, "store_backend": store}
    context.add_data_docs_site(site_name=_SITE, site_config=site)
    return context


def _run_suite(context: Any, suite: TableSuite) -> list[Finding]:
    asset = context.data_sources.add_pandas(suite.name).add_dataframe_asset(suite.name)
    batch = asset.add_batch_definition_whole_dataframe("all")
    expectations = context.suites.add(gx.ExpectationSuite(name=suite.name, expectations=list(suite.expectations)))
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=suite.name, data=batch, suite=expectations))
    checkpoint = gx.Checkpoint(
        name=suite.name,
        validation_definitions=[definition],
        result_format={"result_format": "COMPLETE", "unexpected_index_column_names": [suite.key]},
    )
    outcome = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": suite.table})
    (result,) = outcome.run_results.values()
    return [_to_finding(suite, one.to_json_dict()) for one in result.results]


def _to_finding(suite: TableSuite, outcome: Mapping[str, Any]) -> Finding:
    config, result = outcome["expectation_config"], outcome["result"]
    rule = {name: value for name, value in sorted(config["kwargs"].items()) if name not in _BOOKKEEPING}
    failing = result.get("unexpected_index_list") or []
    rows = tuple(str(row.get(suite.key)) for row in failing)
    return Finding(
        table=suite.name,
        expectation=config["type"],
        rule=rule | ({"notes": config["notes"]} if config.get("notes") else {}),
        success=bool(outcome["success"]),
        num_failing=int(result.get("unexpected_count") or 0),
        rows=rows[:_MAX_LISTED_ROWS],
        observed=result.get("observed_value"),
        error=_read_error(outcome.get("exception_info") or {}),
    )


def _read_error(info: Mapping[str, Any]) -> str:
    """Return the message of an expectation that could not be computed; the report comes flat or by metric."""
    parts = [info] if "raised_exception" in info else list(info.values())
    return "; ".join(sorted({str(part["exception_message"]) for part in parts if part.get("raised_exception")}))
