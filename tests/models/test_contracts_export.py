"""Every component that goes into a bundle gives as ONNX what it gives in torch: one export each, several shapes of input."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from models.blinds import BlindParams
from models.encoders import EncoderParams
from models.exchange.batches import TextFeatures
from models.exporting.networks import (
    OnnxNetwork,
    build_clip_network,
    build_localizer_network,
    build_query_network,
    build_text_network,
    build_video_network,
)
from models.localizers import LocalizerParams
from models.retrievers import RetrieverParams
from models.text_encoders import TextEncoderParams
from registered import DOWNLOADED, build, fill, list_distinct, list_members, make_text, make_video, name_of, pad
from stages.support.parity import require_parity

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


def make_localizer_cases(num_cells: int) -> dict[str, Mapping[str, Tensor]]:
    cases = {}
    for name, text in make_texts().items():
        video = make_video(len(text.mask), num_cells)
        mask = video.mask.clone()
        mask[-1, num_cells - 2 :] = name != "longer sentences, some cut short"
        cases[name] = {"features": video.features, "mask": mask, "duration_s": video.duration_s, **name_text(text)}
    return cases


def make_rows(make: Any) -> dict[str, Mapping[str, Tensor]]:
    return {name: make(len(text.mask), text.tokens.shape[1]) for name, text in make_texts().items()}


def make_token_ids(rows: int, words: int) -> dict[str, Tensor]:
    ids = torch.randint(2, VOCABULARY_SIZE, (rows, words), generator=torch.Generator().manual_seed(0))
    ids[-1, words // 2 + 1 :] = 0
    return {"token_ids": ids}


def make_frames(member: Any) -> Any:
    sampling = fill(member).sampling
    shape = (len(sampling.offsets_s), sampling.size_px, sampling.size_px, 3)

    def make(rows: int, words: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        return {"clips": torch.randint(0, 256, (rows, *shape), dtype=torch.uint8, generator=generator)}

    return make


def list_networks() -> list[Any]:
    """Return the networks of all registries as (role, member)."""
    slots = {
        "localizer": [*list_distinct(LocalizerParams), *list_distinct(BlindParams)],
        "clips": list_distinct(RetrieverParams),
        "queries": list_distinct(RetrieverParams),
        "text": [member for member in list_members(TextEncoderParams) if name_of(member) not in DOWNLOADED],
        "video": list_distinct(EncoderParams),
    }
    return [pytest.param((role, one), id=f"{role}-{name_of(one)}") for role, members in slots.items() for one in members]


def build_network(role: str, member: Any) -> tuple[OnnxNetwork, dict[str, Mapping[str, Tensor]]]:
    """Return a network with the inputs of each case."""
    if role == "localizer":
        model = build(member)
        return build_localizer_network(model), make_localizer_cases(model.num_cells)
    if role == "clips":
        return build_clip_network(build(member)), make_rows(lambda rows, words: {"features": make_video(1, rows).features[0]})
    if role == "queries":
        return build_query_network(build(member)), {name: name_text(text) for name, text in make_texts().items()}
    torch.manual_seed(3)
    if role == "text":
        return build_text_network(fill(member).build(VOCABULARY_SIZE).eval()), make_rows(make_token_ids)
    return build_video_network(fill(member).build().eval()), make_rows(make_frames(member))


@pytest.fixture(scope="module", params=list_networks())
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """One network as a file; all cases share it."""
    network, cases = build_network(*request.param)
    path = tmp_path_factory.mktemp("network") / "network.onnx"
    path.write_bytes(network.export(cases["a batch of three"]))
    return Exported(network, path, cases)


@pytest.mark.parametrize("case", CASES)
def test_an_exported_network_gives_what_torch_gives(exported: Exported, case: str) -> None:
    require_parity(exported.network, exported.path, [exported.cases[case]], max_difference=1e-4)
