"""Descriptions of models for the terminal: name, purpose, and the classes behind an answer."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuepoint.places import read_object, read_pair
from cuepoint.running import say

if TYPE_CHECKING:
    from search.answers import Answer, SearchBasis
    from search.contracts import SearchBundle

_SHOWN_CLASSES = 5


def say_model(bundle_dir: Path) -> None:
    """Print the name and purpose of the published models in a folder; nothing for other folders."""
    manifest = read_object(bundle_dir / "manifest.json")  # its loader verifies it
    model, good_for = read_pair(manifest), (manifest.get("fetched") or manifest).get("good_for")
    if model and good_for:
        say(f"models: {model.get('name')} at {model.get('revision')}. {good_for}")


def describe_answer(bundle: "SearchBundle", answer: "Answer") -> str:
    """Say which models answered, and by which class names if they answer by names."""
    if answer.basis is None:
        return f"models: {bundle.model}"
    names = ", ".join(f"{one.name} {100 * one.weight:.0f} %" for one in answer.basis.classes[:_SHOWN_CLASSES]) or "no class"
    note = "" if answer.reason else f" {describe_grounding(answer.basis)}"  # the reason of an unsure answer holds the note
    return f"models: {bundle.model}, by the classes {names}.{note}"


def describe_grounding(basis: "SearchBasis") -> str:
    """Say how trustworthy an answer by class names is."""
    from search.class_names.trust import describe_trust

    return describe_trust(basis.grounding)


def describe_basis(basis: "SearchBasis") -> dict[str, Any]:
    """Return the basis of an answer as JSON values."""
    classes = [{"name": one.name, "weight": one.weight, "similarity": one.similarity} for one in basis.classes]
    return {"grounding": basis.grounding, "classes": classes, "note": describe_grounding(basis)}
