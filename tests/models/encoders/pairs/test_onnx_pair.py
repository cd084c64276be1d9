"""Pairs of ONNX files: names, types and outputs of their networks are read, and training and serving give the same."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from tokenizers import Tokenizer

from models.artefacts.encoder_files import load_encoders, save_encoders
from models.artefacts.exporting.networks import build_encoder_network, build_text_network
from models.encoders.pairs.onnx import OnnxPairParams
from pipeline.components.presets import preset_path
from tiny_onnx import DIM, IMAGE_PX, make_pictures, make_sentences, save_pair
from tiny_text import SENTENCES

PADDING, LENGTH = 7, 12
PICTURES: list[dict[str, Any]] = [
    {},
    {"pixels": "image", "output": "features", "is_first": True, "opset": 11},
    {"kind": "float16", "others": ["last_hidden_state", "tokens"], "opset": 20},
    {"batch": 1, "is_first": True, "opset": 11},
]
SENTENCE: list[dict[str, Any]] = [
    {},
    {"takes": ("input_ids", "attention_mask", None), "opset": 11},
    {"takes": ("token_ids", None, None), "kind": "int32", "output": "pooled", "length": LENGTH},
    {"takes": ("text", "mask", "token_type_ids"), "kind": "int32", "output": "embeddings", "others": ["x"]},
    {"output": "last_hidden_state", "is_first": True, "opset": 20},
    {"takes": ("ids", "mask", None), "batch": 1, "length": LENGTH},
]
KINDS = ["plain", "mask", "fixed length", "three inputs", "first position", "one by one"]


def build_params(source: Path, **values: Any) -> OnnxPairParams:
    preset = yaml.safe_load(preset_path("pair", "onnx").read_text(encoding="utf-8"))
    sampling = preset["sampling"] | {"size_px": IMAGE_PX, "offsets_s": [0.0, 0.1]}
    clip = yaml.safe_load(preset_path("pair", "clip").read_text(encoding="utf-8"))["sampling"]["preparation"]
    own = {"source": str(source), "repository": None, "revision": None, "weights_sha256": None, "text_cleaning": "none"}
    own |= {"picture_file": None, "text_file": None, "max_tokens": LENGTH, "padding_id": PADDING, "is_padded": False}
    return OnnxPairParams.model_validate(preset | own | {"sampling": sampling | {"preparation": clip}} | values)


def run(model: onnx.ModelProto, inputs: dict[str, Any], output: str) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    rows = range(len(next(iter(inputs.values()))))
    found = [session.run([output], {name: values[row : row + 1] for name, values in inputs.items()})[0] for row in rows]
    vectors = np.concatenate(found).astype(np.float32)
    return vectors[:, 0] if vectors.ndim == 3 else vectors


def draw_clips(count: int) -> torch.Tensor:
    shape = (count, 2, IMAGE_PX, IMAGE_PX, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("values", PICTURES, ids=["plain", "first position", "half precision", "one by one"])
def test_the_vectors_of_pictures_are_those_of_the_network(values: dict[str, Any], tmp_path: Path) -> None:
    model = make_pictures(**values)
    params, encoder = build_params(save_pair(tmp_path / "pair", model, make_sentences())).expand().video.start()
    clips, preparation = draw_clips(3), params.sampling.preparation
    pixels = (clips.flatten(0, 1).permute(0, 3, 1, 2).numpy() - np.asarray(preparation.mean)[:, None, None]) / np.asarray(
        preparation.scale
    )[:, None, None]
    inputs = {values.get("pixels", "pixel_values"): pixels.astype(values.get("kind", "float32"))}
    expected = run(model, inputs, values.get("output", "image_embeds")).reshape(3, 2, DIM).mean(axis=1)
    found = encoder.encode_clips(clips)
    assert found.shape == (3, 1, DIM)
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=2e-3 if "kind" in values else 1e-4, atol=2e-3)
    assert params.ports.output.dim == DIM


@pytest.mark.parametrize(
    "values", SENTENCE, ids=["plain", "mask", "fixed length", "three inputs", "first position", "one by one"]
)
def test_the_vectors_of_sentences_are_those_of_the_network(values: dict[str, Any], tmp_path: Path) -> None:
    model, is_padded = make_sentences(**values), "length" in values
    source = save_pair(tmp_path / "pair", make_pictures(), model)
    start = build_params(source, is_padded=is_padded).expand().text.start(SENTENCES)
    ids = [one.ids for one in map(Tokenizer.from_file(str(source / "tokenizer.json")).encode, SENTENCES)]
    ids = [row[: LENGTH - 1] + row[-1:] if len(row) > LENGTH else row for row in ids]
    width = LENGTH if is_padded else max(map(len, ids))
    rows = np.asarray([row + [PADDING] * (width - len(row)) for row in ids])
    kind, (taken, mask, types) = values.get("kind", "int64"), values.get("takes", ("input_ids", None, None))
    seen = [[1] * len(row) + [0] * (width - len(row)) for row in ids]
    inputs = {taken: rows, mask: np.asarray(seen), types: np.zeros_like(rows)}
    inputs = {name: array.astype(kind) for name, array in inputs.items() if name}
    found = start.encoder(torch.from_numpy(start.tokenizer.encode(SENTENCES)))
    expected = run(model, inputs, values.get("output", "text_embeds"))
    np.testing.assert_allclose(found.pooled.numpy(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(found.tokens, found.pooled[:, None] * found.mask[..., None])


@pytest.mark.parametrize("values", PICTURES, ids=["plain", "first position", "half precision", "one by one"])
def test_a_bundle_encodes_pictures_as_training_did(values: dict[str, Any], tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(**values), make_sentences())
    network = build_encoder_network("video", build_params(source).expand().video.start().encoder)
    session = onnxruntime.InferenceSession(network.export({"clips": draw_clips(3)}))
    for count in (1, 5):
        (found,) = session.run(["features"], {"clips": draw_clips(count).numpy()})
        np.testing.assert_allclose(found, network.run({"clips": draw_clips(count)})["features"].numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "values", SENTENCE, ids=["plain", "mask", "fixed length", "three inputs", "first position", "one by one"]
)
def test_a_bundle_encodes_sentences_as_training_did(values: dict[str, Any], tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(), make_sentences(**values))
    start = build_params(source, is_padded="length" in values).expand().text.start(SENTENCES)
    network = build_text_network(start.encoder)
    session = onnxruntime.InferenceSession(network.export({}))
    for texts in (SENTENCES[:1], SENTENCES):
        ids = start.tokenizer.encode(texts)
        found = dict(zip(network.outputs, session.run(list(network.outputs), {"token_ids": ids}), strict=True))
        for name, expected in network.run({"token_ids": torch.from_numpy(ids)}).items():
            np.testing.assert_allclose(found[name], expected.numpy(), rtol=1e-4, atol=1e-4)


def test_a_saved_pair_needs_no_source(tmp_path: Path) -> None:
    pair = build_params(save_pair(tmp_path / "pair", make_pictures(), make_sentences())).expand()
    video, text = pair.video.start(), pair.text.start(SENTENCES)
    save_encoders(
        tmp_path / "encoder",
        streams={"video": video},
        text_params=text.params,
        text=text.encoder,
        tokenizer=text.tokenizer,
    )
    (tmp_path / "pair").rename(tmp_path / "gone")
    loaded, ids = load_encoders(tmp_path / "encoder"), torch.from_numpy(text.tokenizer.encode(SENTENCES))
    assert torch.equal(loaded.text(ids).pooled, text.encoder(ids).pooled)
    assert torch.equal(loaded.streams["video"].encoder.encode_clips(draw_clips(2)), video.encoder.encode_clips(draw_clips(2)))


def test_an_encoder_that_has_run_can_be_copied_and_sent_to_another_process(tmp_path: Path) -> None:
    video = build_params(save_pair(tmp_path / "pair", make_pictures(), make_sentences())).expand().video.start().encoder
    expected = video.encode_clips(draw_clips(2))
    for other in (copy.deepcopy(video), pickle.loads(pickle.dumps(video))):
        assert torch.equal(other.encode_clips(draw_clips(2)), expected)


def test_files_may_lie_beside_each_other_or_in_a_folder_that_the_preset_names(tmp_path: Path) -> None:
    flat = save_pair(tmp_path / "flat", make_pictures(), make_sentences(), subfolder="")
    deep = save_pair(tmp_path / "deep", make_pictures(), make_sentences(), subfolder="onnx/s2")
    (deep / "preprocessor_config.json").rename(deep / "onnx" / "s2" / "preprocessor_config.json")
    for source, values in ((flat, {}), (deep, {"folder": "onnx/s2"})):
        pair = build_params(source, **values).expand()
        assert pair.video.start().params.weights_sha256.keys() == {"vision_model.onnx"}
        assert pair.text.start(SENTENCES).params.weights_sha256.keys() == {"text_model.onnx"}
    with pytest.raises(FileNotFoundError, match=r"there is no preprocessor_config.json in \S+deep, \S+deep/onnx; copy it"):
        build_params(deep).expand().video.start()


def test_weights_in_a_file_of_their_own_are_read_and_hashed(tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(), make_sentences())
    whole = build_params(source).expand().video.start().encoder
    path = source / "onnx" / "vision_model.onnx"
    onnx.save(make_pictures(), path, save_as_external_data=True, location="vision_model.onnx_data", size_threshold=0)
    parts = build_params(source).expand().video.start()
    assert parts.params.weights_sha256.keys() == {"vision_model.onnx", "vision_model.onnx_data"}
    assert torch.equal(parts.encoder.encode_clips(draw_clips(2)), whole.encode_clips(draw_clips(2)))
    (source / "onnx" / "vision_model.onnx_data").unlink()
    with pytest.raises(ValueError, match=r"vision_model.onnx cannot be read as ONNX: .*; copy it again, with the data"):
        build_params(source).expand().video.start()


def test_stated_hashes_hold_for_both_files(tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(), make_sentences())
    pair = build_params(source).expand()
    stated = {**pair.video.start().params.weights_sha256, **pair.text.start(SENTENCES).params.weights_sha256}
    again = build_params(source, weights_sha256=stated).expand()
    assert again.video.start().params.weights_sha256.items() <= stated.items()
    wrong = build_params(source, weights_sha256=stated | {"text_model.onnx": "abc"}).expand()
    with pytest.raises(ValueError, match=r"text_model.onnx has the sha256 \w+, but weights_sha256 states abc"):
        wrong.text.start(SENTENCES)
    incomplete = build_params(source, weights_sha256={"text_model.onnx": stated["text_model.onnx"]}).expand()
    with pytest.raises(ValueError, match=r"vision_model.onnx has the sha256 \w+, but weights_sha256 states None"):
        incomplete.video.start()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"others": ["one", "two"], "output": "three"}, r"gives one \['\?', 6\], two .*; name the one that holds the vectors"),
        ({"batch": 2}, r"takes pixel_values \[2, 3, 16, 16\]; pictures must be squares \(B, 3, H, H\)"),
    ],
)
def test_a_picture_network_that_cannot_be_read_is_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(**values), make_sentences())
    with pytest.raises(ValueError, match=rf"vision_model.onnx {message}"):
        build_params(source).expand().video.start()


def test_the_preset_can_name_an_output(tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(others=["one", "two"], output="three"), make_sentences())
    one, three = (build_params(source, picture_output=name).expand().video.start().encoder for name in ("one", "three"))
    torch.testing.assert_close(one.encode_clips(draw_clips(1)), -three.encode_clips(draw_clips(1)))


def test_a_fixed_length_asks_for_padding(tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(), make_sentences(length=LENGTH))
    with pytest.raises(ValueError, match="takes exactly 12 tokens; set max_tokens to 12 and is_padded to true"):
        build_params(source, max_tokens=8).expand().text.start(SENTENCES)


def test_what_no_preset_states_is_read_from_the_files(tmp_path: Path) -> None:
    silent = {"max_tokens": None, "padding_id": None, "is_padded": None}
    fixed = save_pair(tmp_path / "fixed", make_pictures(), make_sentences(length=LENGTH))
    free = save_pair(tmp_path / "free", make_pictures(), make_sentences())
    for source, expected in ((fixed, (LENGTH, 1, True)), (free, (77, 1, False))):  # 1 ends a sentence, and pads it
        params = build_params(source, **silent).expand().text.start(SENTENCES).params
        assert (params.max_tokens, params.padding_id, params.is_padded) == expected
    (fixed / "tokenizer_config.json").write_text('{"pad_token": {"content": "<|startoftext|>"}}', encoding="utf-8")
    assert build_params(fixed, **silent).expand().text.start(SENTENCES).params.padding_id == 0
    (fixed / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"no file beside \S+text_model.onnx tells which id fills shorter sentences"):
        build_params(fixed, **silent).expand().text.start(SENTENCES)


def test_pictures_that_were_prepared_in_another_way_are_refused(tmp_path: Path) -> None:
    source = save_pair(tmp_path / "pair", make_pictures(), make_sentences())
    sampling = yaml.safe_load(preset_path("pair", "onnx").read_text(encoding="utf-8"))["sampling"]
    with pytest.raises(ValueError, match=r"set sampling.size_px to 16, got 224; sampling.preparation.resize to crop"):
        build_params(source, sampling=sampling).expand().video.start()
