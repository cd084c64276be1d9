"""What one expectation found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one expectation. `rows` are the keys of failing rows, the first hundred of `num_failing`."""

    table: str
    expectation: str
    rule: Mapping[str, Any]
    success: bool
    num_failing: int
    rows: tuple[str, ...]
    observed: Any = None
    error: str = ""

    def describe(self) -> str:
        """Return one line for a message."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.rule.items() if name != "notes")
        what = f"{self.table}: {self.expectation}({values})"
        if self.error:
            return f"{what}: {self.error}"
        if self.rows:
            more = f" and {self.num_failing - 10} more" if self.num_failing > 10 else ""
            return f"{what}: fails for {', '.join(self.rows[:10])}{more}"
        return f"{what}: found {self.observed!r}"
