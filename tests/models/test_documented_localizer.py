"""The localizer that docs/extending.md writes down: it answers as the page says, and goes into a bundle."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from documented_commands import read_blocks
from evaluation.parity import require_parity
from models.artefacts.exporting.networks import build_localizer_network
from registered import DIMS, make_text, make_video

CELLS = 8


@pytest.fixture
def localizer(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The localizer that the page shows, untrained."""
    (code,) = read_blocks("docs/extending.md", "python")
    module = ModuleType("documented_localizer")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, module.__dict__)
    return module.MiddleThirdParams(name="middle_third", num_cells=CELLS).build(DIMS).eval()


def test_the_first_answer_lies_in_the_middle_of_the_video(localizer: Any) -> None:
    video = make_video(2, CELLS)
    found = localizer(video, make_text(2))
    best = found.spans[torch.arange(2), found.scores.argmax(1)]  # (2, 2)
    assert torch.allclose(best.mean(1), video.duration_s / 2)


@pytest.mark.slow
def test_it_goes_into_a_bundle(localizer: Any, tmp_path: Path) -> None:
    video, text = make_video(3, CELLS), make_text(3)
    streams = {f"features_{name}": cells for name, cells in video.streams.items()}
    example = {**streams, "mask": video.mask, "duration_s": video.duration_s}
    example |= {"tokens": text.tokens, "token_mask": text.mask, "pooled": text.pooled}
    network = build_localizer_network(localizer)
    (tmp_path / "localizer.onnx").write_bytes(network.export(example))
    require_parity(network, tmp_path / "localizer.onnx", [example], max_difference=1e-4)
