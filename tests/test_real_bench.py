"""The fetched default model on real clips with sentences that a person wrote: as good as its page says, on this machine too."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[1]


def test_the_default_model_finds_the_video_of_a_sentence_far_above_chance(shared_dir: Path) -> None:
    from real_bench import run, summarize

    bundle, folder = ROOT / "data" / "models" / "real", shared_dir / "real-bench"
    if not bundle.is_dir():
        pytest.skip("the model real is not fetched on this machine: cuepoint models fetch real")
    if not folder.is_dir():
        pytest.skip("the clips of ../shared/real-bench are absent on this machine")
    predictor, sentences, cost = run(folder, bundle)
    found = summarize([one for one in sentences if one.author == "bench"])
    assert len(predictor.collection.videos) == 67
    assert found["R@1"].value >= 0.45
    assert found["R@5"].value >= 0.75
    assert cost.index_mb / cost.minutes < 0.5
