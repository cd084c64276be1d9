"""Code identity: the import closure of modules of this checkout, and a hash that comments and docstrings do not change.

`pipeline.identity` decides which modules a stage of the pipeline runs.
"""

from corpus.code.closure import ROOT, Closure, Component, find_closure, find_registry, name_module

__all__ = ["ROOT", "Closure", "Component", "find_closure", "find_registry", "name_module"]
