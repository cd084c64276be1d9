"""Suites of expectations from `presets/suite/`: rules by table and name; a suite holds what differs from the default one.

Nothing here loads Great Expectations; what a rule's type and values mean is checked where it is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict

from corpus.params import Params
from stages.support.params import load_yaml, preset_path, validate

DEFAULT = "default"
TABLES = ("videos", "queries")
Severity = Literal["critical", "warning", "info"]


class RuleParams(Params):
    """One rule as it is written: an expectation of Great Expectations; what is not named here are its values."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str
    severity: Severity = "critical"
    notes: str = ""


class SuiteParams(Params):
    """A whole suite: rules by table and name."""

    videos: dict[str, RuleParams]
    queries: dict[str, RuleParams]


@dataclass(frozen=True, slots=True)
class Rule:
    """What must hold of a table. `where` is the place in the file, for messages."""

    table: str
    name: str
    type: str
    severity: Severity
    notes: str
    values: Mapping[str, Any]
    where: str

    @property
    def columns(self) -> list[Any]:
        """The columns that the rule looks at."""
        single = [self.values[name] for name in ("column", "column_A", "column_B") if name in self.values]
        listed = self.values.get("column_list")
        return [*single, *(listed if isinstance(listed, list) else [])]


def load_suite(name: str, folder: Path | None = None) -> list[Rule]:
    """Read `presets/suite/<name>.yaml` over the default suite.

    A rule of the default's name replaces the values that it gives, a new name adds a rule, an empty one drops it.

    Raises:
        ValueError: naming the file and the key at fault, when a file is missing or malformed.
    """
    path = preset_path("suite", name) if folder is None else folder / f"{name}.yaml"
    default = load_yaml(path.with_name(f"{DEFAULT}.yaml"))
    content = default if name == DEFAULT else _overlay(default, load_yaml(path), path)
    suite: SuiteParams = validate(SuiteParams, content, source=path)
    return [
        Rule(table, rule, params.type, params.severity, params.notes, params.model_extra or {}, f"{path}: {table}.{rule}")
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
