"""Description of the pipeline run that a stage belongs to: its key, its corpus and its chosen presets, as tags.

Stages are separate processes, and DVC may restore some of them, so no stage can hand a run's id to the next one. All stages
compute the same key from the inputs of the pipeline instead, and their runs hang under the parent run with this key.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from corpus.files import sha256_file, sha256_json
from pipeline import paths
from pipeline.components.presets import PRESETS

KEY = "cuepoint.pipeline"
PRESET = "preset."  # followed by the slot
CORPUS, VIDEOS, QUERIES = "corpus.name", "corpus.videos", "corpus.queries"
_PARAMS = Path("params.yaml")
_LATER = ("export", "package")  # keys of stages after `evaluate`
_RECORDED = ("pretrain.json", "extract.json", "train/*.json", "evaluate.json")  # code that affects the figures


def describe_pipeline() -> dict[str, str]:
    """Return the tags of the pipeline in the working folder; none without params.yaml and data/corpus/."""
    if not _PARAMS.is_file() or not paths.CORPUS.is_dir():
        return {}
    params = yaml.safe_load(_PARAMS.read_text(encoding="utf-8"))
    if not isinstance(params, dict):
        return {}
    sizes = {VIDEOS: _count_rows("videos"), QUERIES: _count_rows("queries")}
    name = _look_up(params, "corpus", "name")
    presets = {f"{PRESET}{slot}": preset for slot, preset in list_presets(params).items()}
    tags = {KEY: compute_key(params), **({CORPUS: str(name)} if name else {}), **presets}
    return tags | {tag: str(size) for tag, size in sizes.items() if size}


def compute_key(params: Mapping[str, Any]) -> str:
    """Return the hash of all that decides the figures: values, presets, code and the bytes of the corpus."""
    chosen = [PRESETS / slot / f"{preset}.yaml" for slot, preset in list_presets(params).items()]
    files = [*chosen, *_list_files(paths.IDENTITY, _RECORDED), *_list_files(paths.CORPUS, ("*",))]
    hashes = {str(path): sha256_file(path) for path in files if path.is_file()}
    return sha256_json({"params": {key: params[key] for key in params if key not in _LATER}, "files": hashes})[:16]


def list_presets(params: Mapping[str, Any]) -> dict[str, str]:
    """Return slot -> preset of the roles and of the encoders that `params`, the content of params.yaml, chooses."""
    pretrain = _look_up(params, "pretrain") or {}
    pair = pretrain.get("encoder")
    video = _look_up(pretrain, "streams", "video")
    encoders = {"pair": pair} if pair else {"encoder": video, **{slot: pretrain.get(slot) for slot in _LEARNED}}
    chosen = {**(_look_up(params, "train", "models") or {}), **encoders}
    return {slot: str(preset) for slot, preset in chosen.items() if preset}


_LEARNED = ("text_encoder", "objective")


def _look_up(values: Mapping[str, Any], *keys: str) -> Any:
    found: Any = values
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _list_files(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(folder.glob(pattern))


def _count_rows(name: str) -> int:
    path = paths.CORPUS / f"{name}.jsonl"
    return path.read_bytes().count(b"\n") if path.is_file() else 0
