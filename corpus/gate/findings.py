"""Findings of the data gate: the result of one rule."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from corpus.gate.fields import shorten
from corpus.gate.suites import Rule
from corpus.gate.tables import KEYS, LINE

_ROWS_IN_MESSAGE = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one rule. `rows` are the first hundred of `num_failing`: key, line and the checked values.

    `observed` is the measured value of a rule about a whole column. `error` says why a rule could not be checked.
    """

    rule: Rule
    success: bool
    num_failing: int = 0
    rows: Sequence[Mapping[str, Any]] = ()
    observed: Any = None
    error: str = ""

    @property
    def stops(self) -> bool:
        """Whether the pipeline must stop. A rule that cannot be checked counts as failed."""
        return not self.success and (self.rule.severity == "critical" or bool(self.error))

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        rule = {name: value for name, value in asdict(self.rule).items() if name != "where"}
        found = {"success": self.success, "num_failing": self.num_failing, "rows": list(self.rows)}
        return {**rule, "values": dict(self.rule.values), **found, "observed": self.observed, "error": self.error}

    def describe(self) -> str:
        """Return one line for a message."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.rule.values.items())
        return f"{self.rule.table}.{self.rule.name}: {self.rule.type}({values}) {self._describe_result()}"

    def _describe_result(self) -> str:
        if self.success:
            return "holds"
        if self.error:
            return f"cannot be checked: {self.error}"
        if not self.rows:
            return f"fails: found {show(self.observed)}"
        more = self.num_failing - _ROWS_IN_MESSAGE
        rows = "; ".join(self._describe_row(row) for row in self.rows[:_ROWS_IN_MESSAGE])
        return f"fails for {self.num_failing}: {rows}{f' and {more} more' if more > 0 else ''}"

    def _describe_row(self, row: Mapping[str, Any]) -> str:
        """Return "q1 (line 2, num_words 77)"."""
        key = KEYS[self.rule.table]
        details = ", ".join(f"{name} {shorten(show(row[name]))}" for name in [LINE, *self.rule.columns] if name != key)
        return f"{shorten(show(row[key]))} ({details})"


def show(value: object) -> str:
    """Format a value for people."""
    if value is None:
        return "missing"
    if isinstance(value, list | tuple):
        return ", ".join(map(show, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
