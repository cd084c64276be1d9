"""Suites of expectations in YAML files: rules by table and name. A suite lists its differences from the default suite.

This module does not load Great Expectations; `corpus.gate.expectations` checks the types and values of rules.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from corpus.params import Params
from corpus.schema_files import load_yaml, validate

DEFAULT = "default"
TABLES = ("videos", "queries")
Severity = Literal["critical", "warning", "info"]
StreamKind = Literal["pictures", "sound"]


class RuleParams(Params):
    """One rule as written: an expectation of Great Expectations. All keys that are not fields here are its values.

    A rule with `only_with` applies only if an encoder reads streams of that kind.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    severity: Severity = "critical"
    notes: str = ""
    only_with: StreamKind | None = None


class SuiteParams(Params):
    """A whole suite: rules by table and name."""

    videos: dict[str, RuleParams]
    queries: dict[str, RuleParams]


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a table. `where` is its place in the file, for messages."""

    table: str
    name: str
    type: str
    severity: Severity
    notes: str
    values: Mapping[str, Any]
    where: str
    only_with: StreamKind | None = None

    def applies_to(self, kinds: Collection[str]) -> bool:
        """Tell whether the rule applies when encoders read streams of these kinds."""
        return self.only_with is None or self.only_with in kinds

    @property
    def columns(self) -> list[Any]:
        """The columns that the rule checks."""
        single = [self.values[name] for name in ("column", "column_A", "column_B") if name in self.values]
        listed = self.values.get("column_list")
        return [*single, *(listed if isinstance(listed, list) else [])]


def load_suite(name: str, folder: Path) -> list[Rule]:
    """Read `<folder>/<name>.yaml` over the default suite.

    A rule with the name of a default rule replaces the values it gives. A new name adds a rule; an empty rule drops one.

    Raises:
        ValueError: naming the file and the key at fault, when a file is missing or malformed.
    """
    path = folder / f"{name}.yaml"
    default = load_yaml(path.with_name(f"{DEFAULT}.yaml"))
    content = default if name == DEFAULT else _overlay(default, load_yaml(path), path)
    suite: SuiteParams = validate(SuiteParams, content, source=path)
    return [
        Rule(
            table,
            rule,
            params.type,
            params.severity,
            params.notes,
            params.model_extra or {},
            where=f"{path}: {table}.{rule}",
            only_with=params.only_with,
        )
        for table in TABLES
        for rule, params in getattr(suite, table).items()
    ]


def _overlay(default: Mapping[str, Any], changes: Mapping[str, Any], path: Path) -> dict[str, Any]:
    merged = {**default, **{table: rules for table, rules in changes.items() if table not in TABLES}}
    for table in TABLES:
        rules = changes.get(table) or {}
        if not isinstance(rules, dict):
            raise ValueError(f"{path}: {table} must map names of rules to rules, got {rules!r}")
        merged[table] = _overlay_rules(default[table], rules, f"{path}: {table}")
    return merged


def _overlay_rules(default: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    merged = dict(default)
    for name, change in changes.items():
        if change is None and name not in default:
            raise ValueError(f"{where}.{name} drops a rule that the default suite does not have; known: {', '.join(default)}")
        if change is None:
            del merged[name]
        elif (
            isinstance(change, dict)
            and isinstance(default.get(name), dict)
            and change.get("type") in (None, default[name]["type"])
        ):
            merged[name] = {**default[name], **change}
        else:
            merged[name] = change
    return merged
