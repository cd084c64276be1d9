"""Start of a tracked run: its name, source and data sets, and the parent that its pipeline run has, all from its tags.

A run is named `<role> <component> @ <experiment>`, its parent `<localizer> + <retriever> @ <experiment>`.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.tracking.pipeline_run import CORPUS, KEY, PRESET, QUERIES, VIDEOS

EVALUATION = "evaluate"  # the run whose figures are those of its pipeline run
SOURCE_NAME, SOURCE_TYPE, SOURCE_COMMIT = "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit"
_BENCH = "bench"
_COMPONENT_KEYS = ("component.name", "objective.name")
_ON_PARENT = ("git.", "dvc.exp.", "corpus.", PRESET, "cuepoint.pipeline")
_INPUTS = (("dvc.md5.data/corpus", "", "data/corpus"), ("dvc.md5.data/features", "-features", "data/features"))


def describe_start(name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of a run's first event; `name` is that of the role or stage."""
    parent = None if _BENCH in tags or KEY not in tags else _describe_parent(tags)
    is_parent = parent is not None and name == EVALUATION
    own = parent["tags"] if parent and is_parent else _describe_source(name, tags)
    return {
        "run_name": name_run(name, params, tags),
        "params": dict(params),
        "tags": {**tags, **own},
        "datasets": list_datasets(tags, context="evaluation" if name == EVALUATION else "training"),
        "parent": parent,
        "is_parent": is_parent,
    }


def name_run(name: str, params: Mapping[str, object], tags: Mapping[str, str]) -> str:
    """Return the name of a run: role, component and experiment, as far as they are known."""
    component = next((str(params[key]) for key in _COMPONENT_KEYS if key in params), "")
    preset = tags.get(f"{PRESET}{'objective' if name == 'pretrain' else name}", "")
    if _BENCH in tags:
        return f"{name} @ bench {tags[_BENCH]}"
    named = component if not preset or preset == component else f"{preset} ({component})" if component not in preset else preset
    return _add_experiment(" ".join(filter(None, (name, named))), tags)


def _add_experiment(name: str, tags: Mapping[str, str]) -> str:
    experiment = tags.get("dvc.exp.name") or tags.get("git.branch") or tags.get("git.commit", "")[:7]
    return f"{name} @ {experiment}" if experiment else name


def _describe_parent(tags: Mapping[str, str]) -> dict[str, Any]:
    presets = {tag.removeprefix(PRESET): preset for tag, preset in tags.items() if tag.startswith(PRESET)}
    roles = [presets[role] for role in ("localizer", "retriever") if role in presets]
    kept = {tag: value for tag, value in tags.items() if tag.startswith(_ON_PARENT)}
    return {
        "key": tags[KEY],
        "run_name": _add_experiment(" + ".join(roles) or "pipeline", tags),
        "params": {**presets, **({"corpus": tags[CORPUS]} if CORPUS in tags else {})},
        "tags": {**kept, **_describe_source("pipeline", {**tags, "dvc.stage": "dvc repro"})},
    }


def _describe_source(name: str, tags: Mapping[str, str]) -> dict[str, str]:
    """Return MLflow's tags of the columns `Source` and `Version`: the DVC stage and the commit."""
    commit = {SOURCE_COMMIT: tags["git.commit"]} if "git.commit" in tags else {}
    return {SOURCE_NAME: tags.get("dvc.stage", name), SOURCE_TYPE: "LOCAL", **commit}


def list_datasets(tags: Mapping[str, str], *, context: str) -> list[dict[str, Any]]:
    """Return the data sets of a run that DVC tracks, with their digests; the corpus first."""
    corpus = tags.get(CORPUS, "corpus")
    profile = {name: int(tags[tag]) for name, tag in (("videos", VIDEOS), ("queries", QUERIES)) if tag in tags}
    return [
        {
            "name": f"{corpus}{suffix}",
            "digest": tags[tag].removesuffix(".dir"),
            "path": path,
            "profile": profile,
            "context": context,
        }
        for tag, suffix, path in _INPUTS
        if tag in tags
    ]
