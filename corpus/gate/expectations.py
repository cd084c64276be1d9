"""Construction of Great Expectations expectations from rules. Errors list the known types, values and columns."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import great_expectations.expectations as gxe

from corpus.gate.suites import Rule

RULE_NAME = "rule"  # in an expectation's `meta`
_OWN_VALUES = frozenset(
    {"id", "meta", "notes", "severity", "result_format", "description", "catch_exceptions"}
    | {"rendered_content", "windows", "batch_id"}
)


def build_expectations(rules: Sequence[Rule], columns: Sequence[str]) -> list[Any]:
    """Return the expectations for the rules of one table, each with the name of its rule in `meta`.

    Raises:
        ValueError: naming rules with a wrong type, value or column, and the known ones.
    """
    known = list_types()
    problems = [problem for rule in rules for problem in _find_problems(rule, known, columns)]
    if problems:
        raise ValueError("\n".join(problems))
    built, errors = [], []
    for rule in rules:
        try:
            built.append(_build(rule, known[rule.type]))
        except (TypeError, ValueError) as error:  # from pydantic, or from the expectation's own check
            errors.append(f"{rule.where}: {_describe(error)}")
    if errors:
        raise ValueError("\n".join(errors))
    return built


def list_types() -> dict[str, Any]:
    """Return the expectations that come with Great Expectations, by type."""
    classes = [value for name, value in vars(gxe).items() if name.startswith("Expect")]
    return {expectation.expectation_type: expectation for expectation in classes if expectation.expectation_type}


def _build(rule: Rule, expectation: Any) -> Any:
    return expectation(**rule.values, severity=rule.severity, notes=rule.notes or None, meta={RULE_NAME: rule.name})


def _find_problems(rule: Rule, known: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    if rule.type not in known:
        return [f"{rule.where}: unknown type {rule.type!r}; {_suggest(rule.type, known)}"]
    values = [name for name in known[rule.type].__fields__ if name not in _OWN_VALUES]
    problems = [
        f"{rule.where}: unknown value {name} = {value!r} of {rule.type}; known: {', '.join(values)}"
        for name, value in rule.values.items()
        if name not in values
    ]
    return problems + [
        f"{rule.where}: the table of {rule.table} has no column {column!r}; known: {', '.join(columns)}"
        for column in rule.columns
        if column not in columns
    ]


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3)
    return f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(known))}"


def _describe(error: Exception) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".removeprefix("__root__: ") for one in errors())
