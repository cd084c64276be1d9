"""Pretrained text encoders, loaded from tiny local models with the real loading code."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.text import PADDING
from models.artefacts.encoder_files import load_encoders, save_encoders
from models.artefacts.exporting.networks import build_text_network
from models.encoders.text.clip_text import CLIPTextParams
from models.encoders.text.sentence_transformer import SentenceTransformerParams
from search.networks import open_session
from tiny_text import CLIP_END, SENTENCES, save_bert, save_clip

pytestmark = pytest.mark.slow  # importing transformers takes seconds
REVISION = "0123456789abcdef" * 2 + "01234567"
BOTH = pytest.mark.parametrize("name", ["clip_text", "sentence_transformer"])


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {"clip_text": save_clip(folder / "clip"), "sentence_transformer": save_bert(folder / "bert")}


def build_params(name: str, source: Path | str, **values: Any) -> Any:
    kind = {"clip_text": CLIPTextParams, "sentence_transformer": SentenceTransformerParams}[name]
    return kind.model_validate({"name": name, "source": str(source), "dim": 8, **values})


@BOTH
def test_padding_changes_nothing_and_the_mask_holds_every_token(name: str, sources: dict[str, Path]) -> None:
    start = build_params(name, sources[name]).start(SENTENCES)
    ids = torch.from_numpy(start.tokenizer.encode(SENTENCES))
    batch = start.encoder(ids)
    assert torch.equal(batch.mask, ids != PADDING)
    assert batch.tokens[~batch.mask].abs().sum() == 0
    for row, text in enumerate(SENTENCES):
        alone = start.encoder(torch.from_numpy(start.tokenizer.encode([text])))
        torch.testing.assert_close(batch.pooled[row], alone.pooled[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(batch.tokens[row, : alone.tokens.shape[1]], alone.tokens[0], atol=1e-5, rtol=1e-4)


@BOTH
def test_only_the_projection_learns(name: str, sources: dict[str, Path]) -> None:
    encoder = build_params(name, sources[name]).start(SENTENCES).encoder.train()
    assert not encoder.frozen.training
    encoder(torch.tensor([[1, 5, 2]])).pooled.square().sum().backward()
    assert [key for key, weight in encoder.named_parameters() if weight.grad is not None] == ["projection.weight"]


def test_clip_text_agrees_with_transformers_for_its_own_tokenizer(sources: dict[str, Path]) -> None:
    from tokenizers import Tokenizer
    from transformers import CLIPModel

    start = build_params("clip_text", sources["clip_text"], dim=None).start(SENTENCES)
    tokenizer = Tokenizer.from_file(str(sources["clip_text"] / "tokenizer.json"))
    model = CLIPModel.from_pretrained(sources["clip_text"]).eval()
    model.text_model.eos_token_id = model.config.text_config.eos_token_id = tokenizer.token_to_id(CLIP_END)
    for text in SENTENCES:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            expected = model.text_projection(model.text_model(input_ids=ids).pooler_output)
        found = start.encoder(torch.from_numpy(start.tokenizer.encode([text]))).pooled
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_sentence_transformer_is_the_unit_mean_of_the_states_of_transformers(sources: dict[str, Path]) -> None:
    from tokenizers import Tokenizer
    from transformers import AutoModel

    start = build_params("sentence_transformer", sources["sentence_transformer"], dim=None).start(SENTENCES)
    tokenizer = Tokenizer.from_file(str(sources["sentence_transformer"] / "tokenizer.json"))
    model = AutoModel.from_pretrained(sources["sentence_transformer"]).eval()
    tokenizer.no_padding()
    for text in SENTENCES:
        with torch.no_grad():
            states = model(input_ids=torch.tensor([tokenizer.encode(text).ids])).last_hidden_state[0]
        expected = states.mean(0) / states.mean(0).norm()
        found = start.encoder(torch.from_numpy(start.tokenizer.encode([text]))).pooled[0]
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@BOTH
def test_a_saved_encoder_needs_neither_source_nor_other_files(name: str, sources: dict[str, Path], tmp_path: Path) -> None:
    start = build_params(name, sources[name]).start(SENTENCES)
    params = start.params.model_copy(update={"source": "gone"})
    save_encoders(tmp_path, streams={}, text_params=params, text=start.encoder, tokenizer=start.tokenizer)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "text_encoder.safetensors", "tokenizer.json"}
    loaded = load_encoders(tmp_path)
    ids = torch.from_numpy(loaded.tokenizer.encode(SENTENCES))
    assert loaded.tokenizer.digest == start.tokenizer.digest
    torch.testing.assert_close(loaded.text(ids).pooled, start.encoder(ids).pooled)
    assert not any(weight.requires_grad for weight in loaded.text.parameters())


@BOTH
def test_the_exported_network_gives_the_same_for_any_batch_and_length(
    name: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    start = build_params(name, sources[name]).start(SENTENCES)
    network = build_text_network(start.encoder.eval())
    cases = [SENTENCES[:1], SENTENCES, ("a",), (*SENTENCES, " ".join(["circle"] * 60))]
    encoded = [{"token_ids": torch.from_numpy(start.tokenizer.encode(texts))} for texts in cases]
    (tmp_path / "text.onnx").write_bytes(network.export(encoded[1]))
    session = open_session(tmp_path / "text.onnx", num_threads=1)
    for case in encoded:
        expected = network.run(case)
        found = session.run(list(expected), {"token_ids": case["token_ids"].numpy()})
        for tensor, array in zip(expected.values(), found, strict=True):
            np.testing.assert_allclose(array, tensor.numpy(), atol=2e-5)


def test_a_long_sentence_is_cut_to_the_positions_of_the_network(sources: dict[str, Path]) -> None:
    start = build_params("clip_text", sources["clip_text"]).start(SENTENCES)
    ids = start.tokenizer.encode(["circle " * 100])
    assert ids.shape == (1, 77)
    assert start.encoder(torch.from_numpy(ids)).pooled.isfinite().all()


def test_a_revision_of_the_hub_is_read_from_its_cache_without_network(
    sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    snapshot = tmp_path / "models--owner--clip" / "snapshots" / REVISION
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(sources["clip_text"], target_is_directory=True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    start = build_params("clip_text", "owner/clip", revision=REVISION).start(SENTENCES)
    local = build_params("clip_text", sources["clip_text"]).start(SENTENCES)
    assert start.tokenizer.digest == local.tokenizer.digest
    with pytest.raises(FileNotFoundError, match="cannot fetch owner/other at .* copy the files of the model into a folder"):
        build_params("clip_text", "owner/other", revision=REVISION).start(SENTENCES)


@pytest.mark.parametrize("revision", ["main", "abc", "v1.0"])
def test_a_revision_that_can_move_is_refused(revision: str) -> None:
    with pytest.raises(ValueError, match="revision"):
        build_params("clip_text", "owner/clip", revision=revision)


def copy(source: Path, target: Path, without: str = "") -> Path:
    """Copy the files of a model by name, except `without`."""
    for path in source.rglob("*"):
        if path.is_file() and path.name != without:
            (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / path.relative_to(source)).write_bytes(path.read_bytes())
    return target


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(name: str, sources: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(sources["clip_text"], tmp_path / "clip", without=name)
    with pytest.raises(FileNotFoundError, match=rf"clip has no {'.*safetensors' if 'model' in name else name}"):
        build_params("clip_text", folder).start(SENTENCES)


def test_a_missing_folder_names_the_files_to_provide(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"nowhere of a pretrained network does not exist; copy config\.json, tokenizer\.json"
    ):
        build_params("clip_text", tmp_path / "nowhere").start(SENTENCES)


def test_a_pickle_is_never_read(sources: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(sources["clip_text"], tmp_path / "clip", without="model.safetensors")
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(FileNotFoundError, match=r"but pytorch_model\.bin, a pickle, which can run code and is refused"):
        build_params("clip_text", folder).start(SENTENCES)


def test_weights_that_are_not_safetensors_are_refused(sources: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(sources["clip_text"], tmp_path / "clip")
    (folder / "model.safetensors").write_bytes(b"cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(ValueError, match="cannot be read as safetensors"):
        build_params("clip_text", folder).start(SENTENCES)


def test_weights_of_another_shape_are_refused(sources: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(sources["sentence_transformer"], tmp_path / "bert")
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 3}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="do not fit AutoModel: 16 are missing or of another shape: encoder.layer.2"):
        build_params("sentence_transformer", folder).start(SENTENCES)


def test_a_tokenizer_with_more_tokens_than_the_network_is_refused(sources: dict[str, Path], tmp_path: Path) -> None:
    folder = copy(sources["sentence_transformer"], tmp_path / "bert")
    (folder / "tokenizer.json").write_bytes((sources["clip_text"] / "tokenizer.json").read_bytes())
    with pytest.raises(ValueError, match=r"tokenizer\.json has \d+ tokens, but the network of .* \d+; they are not of one model"):
        build_params("sentence_transformer", folder).start(SENTENCES)


def test_more_tokens_than_positions_are_refused(sources: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"max_tokens = 78, but .* has 77 positions; lower max_tokens"):
        build_params("clip_text", sources["clip_text"], max_tokens=78).start(SENTENCES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pooling": "first"}, r"1_Pooling/config\.json pools by mean, but pooling is first"),
        ({"normalise": False}, r"modules\.json: set normalise to true, got false"),
    ],
)
def test_values_that_contradict_the_model_are_refused(values: Any, message: str, sources: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=message):
        build_params("sentence_transformer", sources["sentence_transformer"], **values).start(SENTENCES)


def test_without_transformers_the_extra_is_named(sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"needs the package transformers; install it: pip install 'cuepoint\[text\]'"):
        build_params("clip_text", sources["clip_text"]).start(SENTENCES)
