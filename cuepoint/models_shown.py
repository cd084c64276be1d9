"""The models as commands show them: which answer, what they are good for, and what an answer rests on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cuepoint.places import read_object, read_pair
from cuepoint.running import say

if TYPE_CHECKING:
    from search.answers import Answer, SearchBasis
    from search.contracts import SearchBundle

_SHOWN_CLASSES = 5


def say_model(bundle_dir: Path) -> None:
    """Print which published models a folder holds and what they are good for; nothing for other folders."""
    manifest = read_object(bundle_dir / "manifest.json")  # its loader verifies it
    model, good_for = read_pair(manifest), (manifest.get("fetched") or manifest).get("good_for")
    if model and good_for:
        say(f"models: {model.get('name')} at {model.get('revision')}. {good_for}")


def describe_answer(bundle: "SearchBundle", answer: "Answer") -> str:
    """Say which models answered, and by which class names, where they answer by names."""
    if answer.basis is None:
        return f"models: {bundle.model}"
    names = ", ".join(f"{one.name} {100 * one.weight:.0f} %" for one in answer.basis.classes[:_SHOWN_CLASSES]) or "no class"
    note = "" if answer.reason else f" {describe_grounding(answer.basis)}"  # the reason of an unsure answer says it
    return f"models: {bundle.model}, by the classes {names}.{note}"


def describe_grounding(basis: "SearchBasis") -> str:
    """Say how far an answer by class names can be trusted."""
    from search.class_names.trust import describe_trust

    return describe_trust(basis.grounding)


def describe_basis(basis: "SearchBasis") -> dict[str, Any]:
    """Return what an answer rests on as JSON values."""
    classes = [{"name": one.name, "weight": one.weight, "similarity": one.similarity} for one in basis.classes]
    return {"grounding": basis.grounding, "classes": classes, "note": describe_grounding(basis)}
