"""Import-linter contract against circular imports, including imports in functions and for type checkers."""

from collections.abc import Iterator
from typing import Any

from importlinter import Contract, ContractCheck, output


class NoCirclesContract(Contract):
    """Fails on every group of modules that import each other, and names its modules."""

    type_name = "no_circles"

    def check(self, graph: Any, verbose: bool) -> ContractCheck:
        """Return the circles of the graph."""
        imports = {module: sorted(graph.find_modules_directly_imported_by(module)) for module in sorted(graph.modules)}
        circles = list(find_circles(imports))
        return ContractCheck(kept=not circles, metadata={"circles": circles})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print the circles."""
        for circle in check.metadata["circles"]:
            output.print_error(f"These modules import each other: {', '.join(circle)}")


def find_circles(imports: dict[str, list[str]]) -> Iterator[list[str]]:
    """Yield the groups of modules that reach each other (Tarjan 1972), without recursion."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    open_modules: list[str] = []
    for start in imports:
        path = [] if start in order else [(start, iter(imports.get(start, ())))]
        while path:
            module, following = path[-1]
            if module not in order:
                order[module] = lowest[module] = len(order)
                open_modules.append(module)
            step = next(following, None)
            if step is None:
                path.pop()
                if path:
                    lowest[path[-1][0]] = min(lowest[path[-1][0]], lowest[module])
                if lowest[module] == order[module]:
                    place = open_modules.index(module)
                    group, open_modules[place:] = open_modules[place:], []
                    if len(group) > 1:
                        yield sorted(group)
            elif step not in order:
                path.append((step, iter(imports.get(step, ()))))
            elif step in open_modules:
                lowest[module] = min(lowest[module], order[step])
