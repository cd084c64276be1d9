"""The presets of stream encoders, which are part of the code record of `pretrain`."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from corpus.files import read_json
from pipeline.components.loading import load_encoders, load_pretraining, require_presets
from pipeline.identity import Run, find_run_closure, require_recorded, write_identities
from pipeline.identity.chosen import list_chosen, list_stream_values
from pipeline.params import PARAMS_FILE, PipelineParams, load_params

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the presets and an additional encoder `slow`."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    content = (tmp_path / "presets" / "encoder" / "place_cnn.yaml").read_text(encoding="utf-8")
    slow = content.replace("clip_rate_hz: 2.0", "clip_rate_hz: 1.0")
    assert slow != content
    (tmp_path / "presets" / "encoder" / "slow.yaml").write_text(slow, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def params() -> dict[str, Any]:
    """Return the committed params with a second stream."""
    content = load_params(ROOT / PARAMS_FILE).model_dump(by_alias=True)
    content["pretrain"]["streams"] = {"video": "place_cnn", "look": "slow"}
    return content


def test_each_stream_has_the_values_of_its_preset(project: Path, params: dict[str, Any]) -> None:
    found = list_stream_values("pretrain", params)
    assert {name: values["sampling"]["clip_rate_hz"] for name, values in found.items()} == {"video": 2.0, "look": 1.0}
    built = load_encoders(params["pretrain"]["streams"])
    assert {name: encoder.sampling.clip_rate_hz for name, encoder in built.items()} == {"video": 2.0, "look": 1.0}
    assert list_stream_values("extract", params) == {}


def test_the_data_gate_knows_the_kind_of_each_stream(project: Path, params: dict[str, Any]) -> None:
    assert list_stream_values("validate", params) == {"video": "pictures", "look": "pictures"}
    params["pretrain"]["streams"]["sound"] = "log_mel"
    assert list_stream_values("validate", params) == {"video": "pictures", "look": "pictures", "sound": "sound"}
    params["corpus"]["features"] = "tacos_c3d"
    assert list_stream_values("validate", params) == {}


def test_features_from_files_need_no_encoder(project: Path, params: dict[str, Any]) -> None:
    params["corpus"]["features"] = "tacos_c3d"
    assert list_stream_values("pretrain", params) == {}
    assert not [module for module in list_chosen("extract", "", params) if module.startswith("models.encoders.video")]


def test_the_encoder_of_every_stream_is_built_by_the_stages_that_read_it(project: Path, params: dict[str, Any]) -> None:
    for stage in ("pretrain", "extract", "evaluate", "export"):
        modules = list_chosen(stage, "", params)
        assert modules.count("models.encoders.video.place_cnn") == 2


def test_a_stream_without_a_preset_is_refused(project: Path, params: dict[str, Any]) -> None:
    params["pretrain"]["streams"]["look"] = "place_cm"
    known = "clip_image, log_mel, onnx_image, place_cnn, slow"
    with pytest.raises(ValueError, match=f"there is no encoder named 'place_cm'; known: {known}"):
        require_presets(PipelineParams.model_validate(params))


@pytest.mark.parametrize("streams", [{}, {"Video": "place_cnn"}, {"text_encoder": "place_cnn"}])
def test_streams_need_names(streams: dict[str, str], params: dict[str, Any]) -> None:
    params["pretrain"]["streams"] = streams
    with pytest.raises(ValueError, match="streams"):
        PipelineParams.model_validate(params)


@pytest.mark.slow
def test_an_edited_preset_of_a_stream_is_seen_in_the_record_of_pretrain_alone(project: Path, params: dict[str, Any]) -> None:
    write_identities(project / "before", params)
    preset = project / "presets" / "encoder" / "slow.yaml"
    preset.write_text(preset.read_text(encoding="utf-8").replace("dim: 64", "dim: 32"), encoding="utf-8")
    write_identities(project / "after", params)
    names = sorted(str(path.relative_to(project / "before")) for path in (project / "before").rglob("*.json"))
    changed = [name for name in names if read_json(project / "before" / name) != read_json(project / "after" / name)]
    assert changed == ["pretrain.json"]
    assert read_json(project / "after" / "pretrain.json")["streams"]["look"]["dim"] == 32
    require_recorded(Run("pretrain"), project / "after", params)
    with pytest.raises(ValueError, match="from the record .*: the presets of the encoders changed; run: dvc repro identity,"):
        require_recorded(Run("pretrain"), project / "before", params)


def choose_pair(params: dict[str, Any], **streams: str) -> dict[str, Any]:
    params["pretrain"] |= {"encoder": "clip", "streams": {"video": "place_cnn", **streams}}
    return params


def test_a_pair_takes_the_place_of_the_video_stream_the_text_encoder_and_the_objective(
    project: Path, params: dict[str, Any]
) -> None:
    found = load_pretraining(PipelineParams.model_validate(choose_pair(params, look="slow")))
    assert {name: encoder.name for name, encoder in found.streams.items()} == {"video": "clip_image", "look": "place_cnn"}
    assert (found.text_encoder.name, found.objective.name) == ("clip_text", "none")
    assert found.text_encoder.source == found.streams["video"].source
    params["corpus"]["features"] = "tacos_c3d"
    found = load_pretraining(PipelineParams.model_validate(params))
    assert (found.streams, found.text_encoder.name) == ({}, "clip_text")


def test_the_code_of_a_pair_is_that_of_its_towers_and_of_nothing_it_replaces(project: Path, params: dict[str, Any]) -> None:
    for stage in ("pretrain", "extract", "train", "evaluate", "export"):
        modules = list_chosen(stage, "", choose_pair(params))
        assert "models.encoders.pairs.clip" in modules
        assert not {"models.encoders.video.place_cnn", "models.encoders.text.word_vectors"} & {*modules}
    files = find_run_closure(Run("pretrain"), params).files
    assert {"models/encoders/video/clip_image.py", "models/encoders/text/clip_text.py"} <= files.keys()
    assert not {"models/objectives/mil_nce.py", "models/encoders/video/place_cnn.py"} & files.keys()


@pytest.mark.parametrize(("features", "stream"), [("from_videos", "video"), ("tacos_c3d", "text_encoder")])
@pytest.mark.slow
def test_an_edited_preset_of_a_pair_is_seen_in_the_record_of_pretrain_alone(
    features: str, stream: str, project: Path, params: dict[str, Any]
) -> None:
    choose_pair(params)["corpus"]["features"] = features
    write_identities(project / "before", params)
    preset = project / "presets" / "pair" / "clip.yaml"
    preset.write_text(preset.read_text(encoding="utf-8").replace("max_tokens: 77", "max_tokens: 64"), encoding="utf-8")
    write_identities(project / "after", params)
    names = sorted(str(path.relative_to(project / "before")) for path in (project / "before").rglob("*.json"))
    changed = [name for name in names if read_json(project / "before" / name) != read_json(project / "after" / name)]
    assert changed == ["pretrain.json"]
    assert read_json(project / "after" / "pretrain.json")["streams"][stream]["max_tokens"] == 64


def test_a_pair_without_a_preset_is_refused(project: Path, params: dict[str, Any]) -> None:
    choose_pair(params)["pretrain"]["encoder"] = "clop"
    with pytest.raises(ValueError, match="there is no pair named 'clop'; known: .*clip"):
        require_presets(PipelineParams.model_validate(params))


def test_the_code_of_a_pair_of_onnx_files_is_not_that_of_clip(project: Path, params: dict[str, Any]) -> None:
    choose_pair(params)["pretrain"]["encoder"] = "onnx"
    files = find_run_closure(Run("pretrain"), params).files
    assert {"models/encoders/video/onnx_image.py", "models/encoders/text/onnx_text.py"} <= files.keys()
    assert not {"models/encoders/video/clip_image.py", "models/encoders/pretrained/open_clip/model.py"} & files.keys()
