"""Builds and runs components for one step, each in a process that has loaded nothing of this project before.

    python tests/pipeline/run_component.py FOLDER < cases.json > loaded.json

A case is `{"slot": ..., "name": ..., "values": {...}}`. For each case, the program prints the project's files in
`sys.modules`: `built` after the component was built, and `run` after its step, with the modules of the step's components.
Registries import all their components. Here they get a stand-in for each component that is not chosen, so that
`sys.modules` shows the files that the chosen components need. Third-party packages are loaded once, because the processes
are forks.
"""

import builtins
import json
import multiprocessing
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytorch_lightning  # noqa: F401 - loaded once, for all cases
import torch
import yaml
from pydantic import BaseModel, TypeAdapter, create_model
from pytorch_lightning.callbacks import ModelCheckpoint  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
SLOTS = {
    "reader": ("corpus.readers", "ReaderParams"),
    "encoder": ("models.encoders", "EncoderParams"),
    "text_encoder": ("models.encoders.text", "TextEncoderParams"),
    "pair": ("models.encoders.pairs", "PairParams"),
    "objective": ("models.objectives", "ObjectiveParams"),
    "retriever": ("models.retrievers", "RetrieverParams"),
    "localizer": ("models.localizers", "LocalizerParams"),
    "blind": ("models.blinds", "BlindParams"),
    "loss": ("models.losses", "LossParams"),
    "optimizer": ("models.optimizers", "OptimizerParams"),
    "schedule": ("models.schedules", "ScheduleParams"),
}
HOSTS = {  # the localizers that losses are trained with; other losses are trained with 2D-TAN
    "inside_bce": "place_tan",
    "saliency_hinge": "moment_detr",
    "hungarian_set": "moment_detr",
    "fcos_foreground": "fcos",
    "fcos_centreness": "fcos",
    "fcos_regression": "fcos",
}
PAIRED = {  # the towers of each pair
    "clip": {"encoder": {"clip_image"}, "text_encoder": {"clip_text"}},
    "open_clip": {"encoder": {"clip_image"}, "text_encoder": {"clip_text"}},
    "onnx": {"encoder": {"onnx_image"}, "text_encoder": {"onnx_text"}},
}
SMALL = {"hidden_dim": 16, "text_hidden_dim": 16, "embedding_dim": 8, "feedforward_dim": 16}
Chosen = Mapping[str, set[str]]  # slot -> names


def main() -> None:
    """Run the cases of the standard input in forks of this process."""
    cases, folder = json.load(sys.stdin), Path(sys.argv[1])
    torch.set_num_threads(1)
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        tasks = [(case, folder / f"{case['slot']}-{case['name']}") for case in cases]
        json.dump(pool.starmap(run_case, tasks, chunksize=1), sys.stdout)


def run_case(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Run one component in this fresh process; its result includes an error, if any."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    try:
        return build_and_run(case, folder)
    except Exception:
        return {"slot": case["slot"], "name": case["name"], "error": traceback.format_exc()}


def build_and_run(case: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the files that a component has loaded after it was built, and after its step."""
    slot, name = case["slot"], case["name"]
    if slot == "stage":
        import_module(f"stages.{name}")
        return {"slot": slot, "name": name, "built": list_loaded(), "run": list_loaded(), "modules": []}
    chosen = choose(slot, name)
    keep_registries_to(chosen)
    params = load_params(slot, {"name": name, **case["values"]})
    modules = {type(params).__module__}
    built = {"slot": slot, "name": name, "built": list_loaded()}
    folder.mkdir()
    modules |= STEPS[slot](params, chosen, folder, case)
    return {**built, "run": list_loaded(), "modules": sorted(modules)}


def choose(slot: str, name: str) -> dict[str, set[str]]:
    """Return the components of every slot that a step with this component needs."""
    base = {"text_encoder": {"word_vectors"}, "optimizer": {"adamw"}, "schedule": {"cosine"}}
    hosted = {"loss": HOSTS.get(name, "tan2d"), "optimizer": "tan2d", "schedule": "tan2d"}
    if slot in hosted:
        base |= {"localizer": {hosted[slot]}, "loss": {"scaled_iou_bce"}}
    if slot in ("localizer", "retriever", "blind"):
        preset = yaml.safe_load((ROOT / "presets" / slot / f"{name}.yaml").read_text(encoding="utf-8"))
        base["loss"] = {loss["name"] for loss in preset.get("losses", [])}
        base["optimizer"] = base["optimizer"] if base["loss"] else set()
    if slot == "pair":
        base |= PAIRED[name]
    if slot == "objective":
        base["encoder"] = {"place_cnn"}
    return {**base, slot: {name}}


def keep_registries_to(chosen: Chosen) -> None:
    """Replace every component that is not chosen by a stand-in in the registries imported later."""
    kept = {module: chosen.get(slot, set()) for slot, (module, _) in SLOTS.items()}
    load = builtins.__import__

    def load_chosen(name: str, *arguments: Any, **named: Any) -> Any:
        scope, _, wanted = [*arguments, None, None, None][:3]
        registry = (scope or {}).get("__name__", "")
        if registry in kept and name.startswith(f"{registry}.") and wanted:
            component = find_component_name(name)
            if component is not None and component not in kept[registry]:
                return SimpleNamespace(**{one: stand_in(one, component) for one in wanted})
        return load(name, *arguments, **named)

    builtins.__import__ = load_chosen


def find_component_name(module: str) -> str | None:
    """Return the name of the component that a module declares, or None."""
    text = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    found = re.search(r'^    name: Literal\["(\w+)"\]', text, re.MULTILINE)
    return found[1] if found else None


def stand_in(schema: str, component: str) -> type[BaseModel]:
    return create_model(schema, name=(Literal[component], ...))


def load_params(slot: str, values: Mapping[str, Any]) -> Any:
    module, registry = SLOTS[slot]
    return TypeAdapter(getattr(import_module(module), registry)).validate_python(values)


def list_loaded() -> list[str]:
    """Return the project's files in `sys.modules`, without tests and installed packages."""
    files = {Path(str(getattr(module, "__file__", None) or "/")) for module in list(sys.modules.values())}
    inside = {path.relative_to(ROOT) for path in files if path.is_relative_to(ROOT) and "site-packages" not in path.parts}
    return sorted(str(path) for path in inside if path.parts[0] != "tests")


def read(params: Any, _: Chosen, folder: Path, case: Mapping[str, Any]) -> set[str]:
    """Read a small corpus."""
    for name, content in case["files"].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    assert params.build().read(folder).queries
    return set()


def encode_frames(params: Any, _: Chosen, __: Path, ___: Mapping[str, Any]) -> set[str]:
    """Encode clips, and compute the gradients of trainable weights."""
    start = params.start()
    hears = params.sampling.kind == "sound"
    features = start.encoder(draw_sound(params.sampling) if hears else draw_frames(params.sampling))
    assert features.isfinite().all()
    if features.requires_grad:
        features.square().sum().backward()
    return {type(start.params).__module__}


def encode_sentences(params: Any, _: Chosen, __: Path, ___: Mapping[str, Any]) -> set[str]:
    """Encode two sentences."""
    start = params.start(["a red circle moves left", "a square spins"])
    ids = torch.from_numpy(start.tokenizer.encode(["a red square spins", "a circle"]))
    assert start.encoder.train()(ids).pooled.isfinite().all()
    return {type(start.params).__module__}


def encode_both(params: Any, chosen: Chosen, folder: Path, case: Mapping[str, Any]) -> set[str]:
    """Encode clips and sentences by the towers of a pair, which are members of the registries that they are stored by."""
    pair = params.expand()
    values = {"encoder": pair.video, "text_encoder": pair.text}
    read = {slot: load_params(slot, part.model_dump()) for slot, part in values.items()}
    assert read == values
    encode_frames(read["encoder"], chosen, folder, case)
    return encode_sentences(read["text_encoder"], chosen, folder, case) | {type(params).__module__}


def pursue(params: Any, _: Chosen, __: Path, ___: Mapping[str, Any]) -> set[str]:
    """Compute the gradients of one batch of clips and sentences."""
    sampling = {"clip_rate_hz": 2.0, "offsets_s": [-0.2, 0.0, 0.2], "size_px": 32}
    encoder = load_params(
        "encoder", {"name": "place_cnn", "sampling": sampling, "channels": (8, 8, 8), "dim": 8, "norm_groups": 2}
    )
    text = load_params("text_encoder", {"name": "word_vectors", "dim": 8})
    texts = ["a red circle moves left", "a square spins"]
    start = text.start(texts)
    objective = params.build(encoder.build(), start if params.reads_sentences else None, texts)
    if objective is not None:
        from models.objectives.base import ClipBatch

        frames = draw_frames(encoder.sampling).numpy().reshape(4, 3, 32, 32, 3)
        covers = np.array([[True, False, True, False], [False, True, False, True]])
        spans_s = np.array([[0.0, 0.5], [0.5, 1.0]] * 2)
        batch = ClipBatch(frames, ("a", "b"), np.array([0, 0, 1, 1]), spans_s, tuple(texts), covers)
        objective.train()(batch, np.random.default_rng(0)).loss.backward()
    return {type(encoder).__module__, type(text).__module__, "models.optimizers.adamw"}  # AdamW is the default


def draw_sound(sampling: Any) -> torch.Tensor:
    """Return four clips of noise."""
    shape = (4, round(sampling.window_s * sampling.rate_hz))
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 0.5


def draw_frames(sampling: Any) -> torch.Tensor:
    """Return four clips of noise."""
    shape = (1, 4 * len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def train_role(params: Any, chosen: Chosen, folder: Path, case: Mapping[str, Any]) -> set[str]:
    """Train the component for one epoch with the losses of its preset, or tune it if it has none."""
    slot = case["slot"]
    preset = yaml.safe_load((ROOT / "presets" / slot / f"{case['name']}.yaml").read_text(encoding="utf-8"))
    losses = [load_params("loss", loss) for loss in preset.get("losses", [])]
    training = {"optimizer": {"name": "adamw", "learning_rate": 0.01}} if losses else None
    return train(slot, params, losses, training, folder, tuning=preset.get("tuning", {}))


def train_loss(params: Any, chosen: Chosen, folder: Path, _: Mapping[str, Any]) -> set[str]:
    """Train a localizer for one epoch with this loss."""
    return train("localizer", load_host(chosen), [params], {"optimizer": {"name": "adamw", "learning_rate": 0.01}}, folder)


def train_part(params: Any, chosen: Chosen, folder: Path, case: Mapping[str, Any]) -> set[str]:
    """Train 2D-TAN for one epoch with this optimizer or schedule."""
    training = {"optimizer": {"name": "adamw", "learning_rate": 0.01}, case["slot"]: params.model_dump()}
    losses = [load_params("loss", {"name": "scaled_iou_bce"})]
    return train("localizer", load_host(chosen), losses, {**training, "gradient_clip_norm": None}, folder)


def load_host(chosen: Chosen) -> Any:
    """Return the localizer chosen for a step, in a small size."""
    (name,) = chosen["localizer"]
    fields = type(load_params("localizer", {"name": name})).model_fields
    return load_params("localizer", {"name": name, **{key: value for key, value in SMALL.items() if key in fields}})


def train(
    role: str, component: Any, losses: list[Any], training: Mapping[str, Any] | None, folder: Path, *, tuning: Any = None
) -> set[str]:
    """Train for one epoch, or choose values, and return the modules of everything that was chosen."""
    from models.training.schema import TrainingParams
    from pipeline.components.trained import TrainedComponent
    from pipeline.training.role_training import train
    from pipeline.training.roles import TrainPlan
    from small_training import load_inputs, make_corpus, write_inputs

    values = training and TrainingParams.model_validate({"max_epochs": 1, "batch_size": 8, **training})
    write_inputs(folder, make_corpus())
    inputs = load_inputs(folder)
    plan = TrainPlan(role, TrainedComponent(component, tuple(losses), values, tuning or {}), 0)
    train(plan, inputs, out_dir=folder / "out", state_dir=folder / "state")
    steps = (values.optimizer, values.schedule) if values else ()
    used = (component, *losses, *steps)
    return {*(type(one).__module__ for one in used), "models.encoders.text.word_vectors", "pipeline.training.role_training"}


STEPS: Mapping[str, Callable[[Any, Chosen, Path, Mapping[str, Any]], set[str]]] = {
    "reader": read,
    "encoder": encode_frames,
    "text_encoder": encode_sentences,
    "pair": encode_both,
    "objective": pursue,
    "retriever": train_role,
    "localizer": train_role,
    "blind": train_role,
    "loss": train_loss,
    "optimizer": train_part,
    "schedule": train_part,
}

if __name__ == "__main__":
    main()
