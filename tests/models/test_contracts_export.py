"""Export contract: every component of a bundle gives the same in ONNX and torch, for several input shapes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from corpus.media import ClipSampling, SoundSampling
from evaluation.parity import require_parity
from models.artefacts.exporting.networks import (
    OnnxNetwork,
    build_clip_network,
    build_encoder_network,
    build_localizer_network,
    build_query_network,
    build_text_network,
)
from models.blinds import BlindParams
from models.contracts.batches import TextFeatures
from models.encoders import EncoderParams
from models.encoders.text import TextEncoderParams
from models.localizers import LocalizerParams
from models.retrievers import RetrieverParams
from registered import DOWNLOADED, build, fill, list_distinct, list_members, make_clips, make_text, make_video, name_of, pad

pytestmark = pytest.mark.slow

CASES = ("a batch of one", "a batch of three", "longer sentences, some cut short", "one word")
VOCABULARY_SIZE = 9


class Exported(NamedTuple):
    network: OnnxNetwork
    path: Path
    cases: dict[str, Mapping[str, Tensor]]


def name_text(text: TextFeatures) -> dict[str, Tensor]:
    return {"tokens": text.tokens, "token_mask": text.mask, "pooled": text.pooled}


def make_texts() -> dict[str, TextFeatures]:
    lengths = {"a batch of one": (1, 5), "a batch of three": (3, 5), "one word": (2, 1)}
    texts = {name: make_text(rows, num_words=words) for name, (rows, words) in lengths.items()}
    return texts | {"longer sentences, some cut short": pad(make_text(3, num_words=6), 3)}


def name_streams(streams: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"features_{name}": features for name, features in streams.items()}


def make_localizer_cases(num_cells: int) -> dict[str, Mapping[str, Tensor]]:
    cases = {}
    for name, text in make_texts().items():
        video = make_video(len(text.mask), num_cells)
        mask = video.mask.clone()
        mask[-1, num_cells - 2 :] = name != "longer sentences, some cut short"
        cases[name] = {**name_streams(video.streams), "mask": mask, "duration_s": video.duration_s, **name_text(text)}
    return cases


def make_rows(make: Any) -> dict[str, Mapping[str, Tensor]]:
    return {name: make(len(text.mask), text.tokens.shape[1]) for name, text in make_texts().items()}


def make_token_ids(rows: int, words: int) -> dict[str, Tensor]:
    ids = torch.randint(2, VOCABULARY_SIZE, (rows, words), generator=torch.Generator().manual_seed(0))
    ids[-1, words // 2 + 1 :] = 0
    return {"token_ids": ids}


def make_encoder_clips(sampling: ClipSampling | SoundSampling) -> Any:
    def make(rows: int, words: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        if isinstance(sampling, SoundSampling):
            return {"clips": 2 * torch.rand((rows, sampling.num_samples), generator=generator) - 1}
        shape = (rows, len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3)
        return {"clips": torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)}

    return make


def list_networks() -> list[Any]:
    """Return the networks of all registries as (role, member)."""
    slots = {
        "localizer": [*list_distinct(LocalizerParams), *list_distinct(BlindParams)],
        "clips": list_distinct(RetrieverParams),
        "queries": list_distinct(RetrieverParams),
        "text": [member for member in list_members(TextEncoderParams) if name_of(member) not in DOWNLOADED],
        "encoder": [member for member in list_distinct(EncoderParams) if name_of(member) not in DOWNLOADED],
    }
    return [pytest.param((role, one), id=f"{role}-{name_of(one)}") for role, members in slots.items() for one in members]


def build_network(role: str, member: Any) -> tuple[OnnxNetwork, dict[str, Mapping[str, Tensor]]]:
    """Return a network with the inputs of each case."""
    if role == "localizer":
        model = build(member)
        return build_localizer_network(model), make_localizer_cases(model.num_cells)
    if role == "clips":
        return build_clip_network(build(member)), make_rows(lambda rows, words: name_streams(make_clips(rows)))
    if role == "queries":
        return build_query_network(build(member)), {name: name_text(text) for name, text in make_texts().items()}
    torch.manual_seed(3)
    if role == "text":
        return build_text_network(fill(member).build(VOCABULARY_SIZE).eval()), make_rows(make_token_ids)
    encoder = fill(member).build().eval()
    return build_encoder_network("video", encoder), make_rows(make_encoder_clips(encoder.sampling))


@pytest.fixture(scope="module", params=list_networks())
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Export one network to a file, shared by all cases."""
    network, cases = build_network(*request.param)
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    path.write_bytes(network.export(cases["a batch of three"]))
    return Exported(network, path, cases)


@pytest.mark.parametrize("case", CASES)
def test_an_exported_network_agrees_with_torch(exported: Exported, case: str) -> None:
    require_parity(exported.network, exported.path, [exported.cases[case]], max_difference=1e-4)
