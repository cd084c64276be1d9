"""The closure of every registered component contains all files that it loads in a fresh process."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.code import find_closure
from pipeline.components.listing import SLOTS, list_components
from pipeline.identity import NEUTRAL
from tiny_onnx import make_pictures, make_sentences, save_pair
from tiny_text import save_bert, save_clip, save_open_clip

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CLIP_PRESET = ROOT / "presets" / "encoder" / "clip_image.yaml"
SAMPLING = {"clip_rate_hz": 2.0, "offsets_s": [-0.2, 0.0, 0.2], "size_px": 16}
CLIP_SAMPLING = SAMPLING | {"preparation": yaml.safe_load(CLIP_PRESET.read_text(encoding="utf-8"))["sampling"]["preparation"]}
CARD = {"page": "https://huggingface.co/openai/clip-vit-base-patch32"}
STAGES = sorted(path.stem for path in (ROOT / "stages").glob("*.py") if path.stem != "__init__")
CASES = [(slot, name) for slot in SLOTS for name in list_components(slot)] + [("stage", name) for name in STAGES]
REQUIRED: dict[tuple[str, str], dict[str, Any]] = {
    ("encoder", "place_cnn"): {"sampling": SAMPLING, "channels": (8, 8, 8), "dim": 8, "norm_groups": 2},
    ("encoder", "log_mel"): {"sampling": {"kind": "sound", "clip_rate_hz": 2.0, "window_s": 0.5, "rate_hz": 16000}},
    ("objective", "mil_nce"): {"training": {"max_epochs": 1, "optimizer": {"learning_rate": 0.01}}},
    ("objective", "vicreg"): {"training": {"max_epochs": 1, "optimizer": {"learning_rate": 0.01}}},
    ("optimizer", "adamw"): {"learning_rate": 0.01},
    ("optimizer", "sgd"): {"learning_rate": 0.01},
    ("schedule", "plateau"): {"monitor": "train_loss"},
    ("schedule", "step"): {"every_epochs": 1},
}
HOSTED = {  # the components that it is trained with here, or by default; they are registered too
    "optimizer": ("models.losses.scaled_iou_bce",),
    "objective": ("models.optimizers.adamw",),
}
SLOTS_OF = {  # the registries that a stage imports
    "ingest": ("reader",),
    "pretrain": ("pair", "encoder", "text_encoder", "objective", "optimizer", "schedule", "loss"),
    "extract": ("encoder", "text_encoder"),
    "evaluate": ("encoder", "text_encoder", "retriever", "localizer", "blind"),
    "export": ("encoder", "text_encoder", "retriever", "localizer"),
}
PACKAGES = ("pipeline.__init__", "pipeline.disk.__init__", "pipeline.tracking.__init__")  # hold only docstrings
NAMED = [module.replace(".", "/") for module in (*NEUTRAL, *PACKAGES)]  # affect no result: see pipeline.identity


def list_missing(loaded: list[str], closure: Mapping[str, str]) -> list[str]:
    """Return the loaded files that are in neither the closure nor the list of neutral modules."""
    named = [path for path in loaded if any(path == f"{name}.py" or path.startswith(f"{name}/") for name in NAMED)]
    return sorted({*loaded} - {*named} - closure.keys())


def load_corpora() -> Any:
    """Return a small corpus in the format of every reader."""
    spec = importlib.util.spec_from_file_location("small_corpora", ROOT / "tests" / "corpus" / "readers" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CORPORA


def list_values(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the values that components require."""
    (folder / "vectors.txt").write_text("red 1 0\nsquare 0 1\n", encoding="utf-8")
    clip = save_clip(folder / "clip", image_px=16)
    pictures = {"sampling": CLIP_SAMPLING, "card": CARD}
    onnx = {"source": str(save_pair(folder / "onnx", make_pictures(), make_sentences())), "max_tokens": 12, "padding_id": 1}
    open_clip = {"sampling": CLIP_SAMPLING | {"preparation": CLIP_SAMPLING["preparation"] | {"resize": "crop_rounded"}}}
    return REQUIRED | {
        ("encoder", "clip_image"): {"source": str(clip), "sampling": CLIP_SAMPLING},
        ("encoder", "onnx_image"): {"source": onnx["source"], "sampling": CLIP_SAMPLING},
        ("text_encoder", "onnx_text"): onnx,
        ("pair", "clip"): {"source": str(clip), "max_tokens": 77, **pictures},
        ("pair", "open_clip"): {
            "source": str(save_open_clip(folder / "open_clip", clip, image_px=16)),
            "max_tokens": 77,
            **pictures,
            **open_clip,
        },
        ("pair", "onnx"): {**onnx, **pictures},
        ("text_encoder", "glove"): {"path": str(folder / "vectors.txt"), "vector_dim": 2},
        ("text_encoder", "clip_text"): {"source": str(clip), "dim": 8},
        ("text_encoder", "sentence_transformer"): {"source": str(save_bert(folder / "bert")), "dim": 8},
    }


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """Return the files that each component has loaded after it was built and after it ran, by slot and name."""
    folder = tmp_path_factory.mktemp("components")
    values, corpora = list_values(folder), load_corpora()
    cases = [
        {"slot": slot, "name": name, "values": values.get((slot, name), {}), "files": corpora.get(name, {})}
        for slot, name in CASES
    ]
    (folder / "work").mkdir()
    command = [sys.executable, str(Path(__file__).with_name("run_component.py")), str(folder / "work")]
    done = subprocess.run(command, input=json.dumps(cases), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {(found["slot"], found["name"]): found for found in json.loads(done.stdout)}


@pytest.mark.parametrize(("slot", "name"), CASES)
def test_a_component_is_built_from_its_closure(slot: str, name: str, loaded: dict[tuple[str, str], Any]) -> None:
    module = f"stages.{name}" if slot == "stage" else list_components(slot)[name].__module__
    closure = find_closure([module, *HOSTED.get(slot, ())], neutral=NEUTRAL).files
    if slot == "stage":
        closure = {**closure, **list_loaded_beside(name)}
    assert "error" not in loaded[slot, name], loaded[slot, name]["error"]
    assert list_missing(loaded[slot, name]["built"], closure) == []


def list_loaded_beside(stage: str) -> Mapping[str, str]:
    """Return the files that importing a stage loads without running them: those of neutral modules and unchosen components."""
    components = [model.__module__ for slot in SLOTS_OF.get(stage, ()) for model in list_components(slot).values()]
    unchosen = find_closure(components, neutral=NEUTRAL).files if components else {}
    folders = tuple(f"{SLOTS[slot].module.replace('.', '/')}/" for slot in SLOTS_OF.get(stage, ()))
    own = {
        path: code
        for path, code in unchosen.items()
        if path.startswith((*folders, "models/encoders/pretrained/", "models/licence.py", "models/layers/", "corpus/readers/"))
    }
    return {**find_closure(list(NEUTRAL)).files, **own}


@pytest.mark.parametrize(("slot", "name"), [case for case in CASES if case[0] != "stage"])
def test_a_component_runs_on_the_closures_of_all_chosen(slot: str, name: str, loaded: dict[tuple[str, str], Any]) -> None:
    closure = find_closure(loaded[slot, name]["modules"], neutral=NEUTRAL).files
    assert list_missing(loaded[slot, name]["run"], closure) == []
    assert closure.keys() & {*loaded[slot, name]["built"]}
