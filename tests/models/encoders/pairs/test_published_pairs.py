"""Pairs of published towers: one setting gives both encoders, and they give what transformers gives."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tokenizers import Tokenizer

from models.artefacts.exporting.networks import build_text_network
from models.contracts.roles import EncoderPair, TextStart
from models.encoders.pairs.clip import CLIPPairParams
from models.encoders.pairs.open_clip import OpenClipPairParams
from pipeline.components.presets import PRESETS, preset_path
from search.networks import open_session
from tiny_text import SENTENCES, save_clip, save_open_clip, save_siglip

pytestmark = pytest.mark.slow  # importing transformers takes seconds
IMAGE_PX = 16
OWN = {"repository": None, "revision": None, "weights_sha256": None, "licence": None, "text_cleaning": "none"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    clip = save_clip(folder / "clip", image_px=IMAGE_PX)
    siglip = save_siglip(folder / "siglip", image_px=IMAGE_PX)
    return {"clip": clip, "siglip_b16": siglip, "open_clip": save_open_clip(folder / "own", clip, image_px=IMAGE_PX)}


def expand(preset: str, source: Path, **values: Any) -> EncoderPair:
    """Return the towers of a preset for tiny files."""
    content = yaml.safe_load(preset_path("pair", preset).read_text(encoding="utf-8"))
    sampling = content["sampling"] | {"size_px": IMAGE_PX}
    tokens = {"max_tokens": 16} if preset.startswith("siglip") else {}
    kind = OpenClipPairParams if content["name"] == "open_clip" else CLIPPairParams
    return kind.model_validate(content | OWN | tokens | {"source": str(source), "sampling": sampling} | values).expand()


def draw_frames() -> torch.Tensor:
    shape = (1, 3, IMAGE_PX, IMAGE_PX, 3)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def embed_texts(start: TextStart) -> torch.Tensor:
    return start.encoder(torch.from_numpy(start.tokenizer.encode(SENTENCES))).pooled


def test_both_towers_of_siglip_give_what_transformers_gives(sources: dict[str, Path]) -> None:
    from transformers import SiglipModel

    pair, model = expand("siglip_b16", sources["siglip_b16"]), SiglipModel.from_pretrained(sources["siglip_b16"]).eval()
    frames = draw_frames()
    ids = [one.ids for one in map(Tokenizer.from_file(str(sources["siglip_b16"] / "tokenizer.json")).encode, SENTENCES)]
    padded = torch.tensor([(row + [1] * 16)[:16] if len(row) <= 16 else [*row[:15], 1] for row in ids])
    with torch.no_grad():
        pictures = model.get_image_features((frames[0].permute(0, 3, 1, 2) / 255 - 0.5) / 0.5).pooler_output
        sentences = model.get_text_features(padded).pooler_output
    torch.testing.assert_close(pair.video.start().encoder(frames)[0, :, 0], pictures, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(embed_texts(pair.text.start(SENTENCES)), sentences, atol=1e-5, rtol=1e-4)


def test_siglip_reads_a_sentence_the_same_way_in_any_batch_and_in_a_bundle(sources: dict[str, Path], tmp_path: Path) -> None:
    start = expand("siglip_b16", sources["siglip_b16"]).text.start(SENTENCES)
    together = embed_texts(start)
    network = build_text_network(start.encoder)
    (tmp_path / "text.onnx").write_bytes(network.export({"token_ids": torch.from_numpy(start.tokenizer.encode(SENTENCES))}))
    session = open_session(tmp_path / "text.onnx", num_threads=1)
    for row, text in enumerate(SENTENCES):
        ids = start.tokenizer.encode([text])
        alone = start.encoder(torch.from_numpy(ids))
        assert alone.tokens.shape[1] == ids.shape[1]
        torch.testing.assert_close(alone.pooled[0], together[row], atol=1e-5, rtol=1e-4)
        _, _, pooled = session.run(None, {"token_ids": ids})
        torch.testing.assert_close(torch.from_numpy(pooled), alone.pooled, atol=2e-5, rtol=1e-4)


def test_open_clips_own_files_give_what_those_of_transformers_give(sources: dict[str, Path]) -> None:
    frames, pairs = draw_frames(), {name: expand(name, sources[name]) for name in ("clip", "open_clip")}
    pictures = [pair.video.start().encoder(frames) for pair in pairs.values()]
    sentences = [embed_texts(pair.text.start(SENTENCES)) for pair in pairs.values()]
    for one, two in (pictures, sentences):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)
    recorded = pairs["open_clip"].video.start().params
    assert [*(recorded.weights_sha256 or {})] == ["open_clip_model.safetensors"]
    assert recorded.build().state_dict().keys() == pairs["clip"].video.start().params.build().state_dict().keys()


@pytest.mark.parametrize(
    ("preset", "values", "message"),
    [
        ("siglip_b16", {"padding_id": None}, "reads the padding behind a sentence; set padding_id to 1, got None"),
        ("siglip_b16", {"padding_id": 0}, "reads the padding behind a sentence; set padding_id to 1, got 0"),
        ("siglip_b16", {"max_tokens": 12}, "reads sentences padded to 16 tokens; set max_tokens to it, got 12"),
        ("clip", {"padding_id": 1}, "does not read the padding behind a sentence; set padding_id to null, got 1"),
        ("open_clip", {"max_tokens": 78}, "max_tokens = 78, but .* has 77 positions; lower max_tokens"),
    ],
)
def test_a_reading_that_is_not_the_models_is_refused(
    preset: str, values: dict[str, Any], message: str, sources: dict[str, Path]
) -> None:
    with pytest.raises(ValueError, match=message):
        expand(preset, sources[preset], **values).text.start(SENTENCES)


def test_another_preparation_than_that_of_open_clips_configuration_is_refused(sources: dict[str, Path]) -> None:
    sampling = yaml.safe_load(preset_path("pair", "clip").read_text(encoding="utf-8"))["sampling"] | {"size_px": IMAGE_PX}
    with pytest.raises(ValueError, match=r"open_clip_config.json: .* set sampling.preparation.resize to crop_rounded, got crop"):
        expand("open_clip", sources["open_clip"], sampling=sampling).video.start()


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json"])
def test_a_file_of_open_clip_that_is_missing_is_named(name: str, sources: dict[str, Path], tmp_path: Path) -> None:
    for path in sources["open_clip"].iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(FileNotFoundError, match=rf"has no {name.replace('model', '.*')}"):
        expand("open_clip", tmp_path).text.start(SENTENCES)


def test_another_kind_of_model_is_refused(tmp_path: Path, sources: dict[str, Path]) -> None:
    for path in sources["clip"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "siglip2"}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"config.json describes a siglip2; supported are clip and siglip"):
        expand("clip", tmp_path).video.start()


def test_a_source_that_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    pair = expand("clip", tmp_path / "gone", repository="openai/clip-vit-base-patch32")
    with pytest.raises(FileNotFoundError, match="hf download openai/clip-vit-base-patch32 --local-dir"):
        pair.video.start()


def test_the_commit_is_that_of_the_hubs_notes(tmp_path: Path, sources: dict[str, Path]) -> None:
    commit, folder = "0123456789abcdef" * 2 + "01234567", tmp_path / "clip"
    folder.mkdir()
    for path in sources["clip"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    notes = folder / ".cache" / "huggingface" / "download" / "config.json.metadata"
    notes.parent.mkdir(parents=True)
    notes.write_text(f"{commit}\nabc\n1700000000.0\n", encoding="utf-8")
    values = {"repository": "owner/clip", "revision": commit}
    assert expand("clip", folder, **values).video.start().params.revision == commit
    assert expand("clip", sources["clip"], **values).video.start().params.revision is None  # nobody knows
    with pytest.raises(ValueError, match=rf"holds the revision {commit}, but the preset states {'f' * 40}; get it again"):
        expand("clip", folder, repository="owner/clip", revision="f" * 40).video.start()


@pytest.mark.parametrize("preset", sorted(path.stem for path in (PRESETS / "pair").glob("*.yaml") if path.stem != "real"))
def test_every_preset_says_where_its_facts_come_from(preset: str) -> None:
    content = yaml.safe_load(preset_path("pair", preset).read_text(encoding="utf-8"))
    assert content["card"]["page"] == f"https://huggingface.co/{content['repository']}"
    assert content["source"] == f"data/raw/{content['repository'].split('/')[1]}"
    assert content["licence"] is not None
    assert content.get("accept_licence") is not True
