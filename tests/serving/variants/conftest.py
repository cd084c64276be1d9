"""Challengers of the small project: bundles with changed networks, each with its own index."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from corpus.files import read_json, write_json
from search.bundle import Manifest, describe_files, load_bundle, save_manifest
from workers import do_once

Change = Callable[[Path], None]
SLOW_SIDE = 1400  # of the matrices that a slow localizer multiplies needlessly, which takes some tens of milliseconds


def build_challenger(project: Any, folder: Path, change: Change) -> Path:
    """Copy bundle and index of a project, change a network of the copy, and update the hashes of both."""
    for part in ("bundle", "index"):
        shutil.copytree(getattr(project, part), folder / part)
    bundle = load_bundle(folder / "bundle")
    change(bundle.folder)
    files = describe_files(bundle.folder, encoded=tuple(bundle.manifest.streams), tokenizer=bundle.tokenizer)
    manifest = Manifest.model_validate(bundle.manifest.model_dump() | {"files": files})
    save_manifest(manifest, bundle.folder)
    version = manifest.version
    write_json(folder / "index" / "index.json", read_json(folder / "index" / "index.json") | {"bundle_version": version})
    return folder


def keep(folder: Path) -> None:
    """Change nothing."""


def rename_networks(folder: Path) -> None:
    """Replace the networks that encode videos by other files with equal results."""
    path = folder / "retriever_clips.onnx"
    model = onnx.load(path)
    model.doc_string = "another"
    onnx.save(model, path)


def slow_localizer_down(folder: Path) -> None:
    """Make the localizer multiply large matrices before it reads its features, which stay unchanged."""
    ones = numpy_helper.from_array(np.full((SLOW_SIDE, SLOW_SIDE), 1e-3, dtype=np.float32), "slow_ones")
    zero = numpy_helper.from_array(np.zeros((), dtype=np.float32), "slow_zero")
    nodes = [
        helper.make_node("ReduceMean", ["features_video"], ["slow_mean"], keepdims=0),
        helper.make_node("Add", ["slow_ones", "slow_mean"], ["slow_0"]),
        *(helper.make_node("MatMul", [f"slow_{step}", "slow_ones"], [f"slow_{step + 1}"]) for step in range(4)),
        helper.make_node("ReduceMean", ["slow_4"], ["slow_product"], keepdims=0),
        helper.make_node("Mul", ["slow_product", "slow_zero"], ["slow_nothing"]),
        helper.make_node("Add", ["features_video", "slow_nothing"], ["slow_features"]),
    ]
    _insert(folder / "localizer.onnx", nodes, [ones, zero], old="features_video", new="slow_features")


def break_localizer(folder: Path) -> None:
    """Make the localizer fail on sentences of three words and more."""
    zeros = numpy_helper.from_array(np.zeros((1, 2, 1), dtype=np.float32), "two_words")
    node = helper.make_node("Add", ["tokens", "two_words"], ["short_tokens"])
    _insert(folder / "localizer.onnx", [node], [zeros], old="tokens", new="short_tokens")


def _insert(path: Path, nodes: Sequence[Any], values: Sequence[TensorProto], *, old: str, new: str) -> None:
    """Insert nodes before a network, whose nodes then read `new` instead of `old`."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    own = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *own])
    model.graph.initializer.extend(values)
    onnx.save(model, path)


@pytest.fixture(scope="session")
def challengers(small_project: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of challengers by name: twin, other (encodes videos itself), slow, failing."""
    changes = {"twin": keep, "other": rename_networks, "slow": slow_localizer_down, "failing": break_localizer}

    def build(folder: Path) -> None:
        for name, change in changes.items():
            build_challenger(small_project, folder / "challengers" / name, change)

    root = do_once(tmp_path_factory, "challengers", build) / "challengers"
    return {name: root / name for name in changes}
