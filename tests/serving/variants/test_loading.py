"""A challenger that cannot be used is refused with the reason, and the champion answers alone."""

import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from corpus.files import read_json, write_json
from search.answers import SearchQuery
from search.predictor import MomentPredictor
from serving.library.jobs import JobQueue
from serving.variants.loading import Surroundings, find_parts, leave_out_strangers, load_variants
from serving.variants.metrics import VariantMetrics

QUERY = SearchQuery("the red circle spins", 2)


def damage(folder: Path) -> None:
    with (folder / "bundle" / "localizer.onnx").open("ab") as file:
        file.write(b"x")


def make_incompatible(folder: Path) -> None:
    write_json(folder / "index" / "index.json", read_json(folder / "index" / "index.json") | {"format_version": 1})


def mix_up(folder: Path) -> None:
    write_json(folder / "index" / "index.json", read_json(folder / "index" / "index.json") | {"bundle_version": "other"})


def leave_out(folder: Path) -> None:
    shutil.rmtree(folder / "index")


@pytest.fixture(scope="module")
def champion(small_project: Any) -> MomentPredictor:
    return MomentPredictor.load(small_project.bundle, small_project.index, num_threads=1)


def load(champion: MomentPredictor, folder: Path, state_dir: Path, **variables: str) -> tuple[Any, str]:
    """Return the loaded variants and the metrics after loading."""
    registry = CollectorRegistry()
    surroundings = Surroundings(state_dir, JobQueue(), VariantMetrics(registry), num_threads=1)
    loaded = load_variants(champion, surroundings, {"CUEPOINT_CHALLENGER": str(folder), **variables})
    return loaded, generate_latest(registry).decode()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (damage, "localizer.onnx is damaged: sha256"),
        (make_incompatible, "has format_version 1, this code reads"),
        (mix_up, "was made by the bundle other"),
        (leave_out, "it must be a folder with bundle/ and index/, or a bento"),
    ],
)
def test_a_damaged_or_incompatible_challenger_is_refused(
    champion: MomentPredictor, challengers: dict[str, Path], tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    folder = Path(shutil.copytree(challengers["twin"], tmp_path / "challenger"))
    change(folder)
    loaded, metrics = load(champion, folder, tmp_path)
    status = loaded.variants.describe_challenger()
    assert status.state == "refused"
    assert reason in status.reason
    assert "cuepoint_challenger_serving 0.0" in metrics
    answered = anyio.run(lambda: loaded.variants.answer(lambda models: models.search(QUERY), key="a"))
    assert (answered.variant, len(answered.answers[0].moments)) == ("champion", 2)
    assert loaded.target is champion


def test_a_bad_variable_refuses_only_the_challenger(
    champion: MomentPredictor, challengers: dict[str, Path], tmp_path: Path
) -> None:
    loaded, _ = load(champion, challengers["twin"], tmp_path, CUEPOINT_CHALLENGER_SHARE="all")
    assert "CUEPOINT_CHALLENGER_SHARE = 'all'" in loaded.variants.describe_challenger().reason


def test_a_challenger_that_cannot_search_at_all_is_refused(
    champion: MomentPredictor, challengers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.variants.loading.SearchQuery", lambda *_: QUERY)  # the first one has too many words for it
    loaded, _ = load(champion, challengers["failing"], tmp_path)
    reason = loaded.variants.describe_challenger().reason
    assert reason.startswith("the challenger cannot search: ")
    assert "two_words" in reason or "Add" in reason


def test_a_challenger_that_fits_takes_part(champion: MomentPredictor, challengers: dict[str, Path], tmp_path: Path) -> None:
    loaded, metrics = load(champion, challengers["twin"], tmp_path)
    status = loaded.variants.describe_challenger()
    assert (status.state, status.model) == ("serving", champion.bundle.version[:12])
    assert "cuepoint_challenger_serving 1.0" in metrics
    loaded.variants.stop()


@pytest.mark.slow
def test_a_removed_challenger_releases_its_models(
    champion: MomentPredictor, challengers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models: list[Any] = []
    load_models = MomentPredictor.load
    monkeypatch.setattr(MomentPredictor, "load", lambda *places, **options: keep(load_models(*places, **options), models))
    loaded, _ = load(champion, challengers["twin"], tmp_path, CUEPOINT_CHALLENGER_MIN_REQUESTS="1")

    def search_badly(asked: MomentPredictor) -> Any:
        if asked is not champion:
            raise RuntimeError("broken")
        return asked.search(QUERY)

    for key in map(str, range(99)):
        anyio.run(lambda key=key: loaded.variants.answer(search_badly, key=key))
    assert loaded.variants.describe_challenger().state == "out"
    gc.collect()
    assert [one() for one in models] == [None]


def keep(predictor: MomentPredictor, models: list[Any]) -> MomentPredictor:
    models.append(weakref.ref(predictor))
    return predictor


def test_videos_that_the_champion_lacks_are_left_out(challengers: dict[str, Path], small_project: Any) -> None:
    champion, challenger = (
        MomentPredictor.load(folder / "bundle", folder / "index") for folder in (small_project.root, challengers["twin"])
    )
    champion.remove_video("v1")
    assert leave_out_strangers(challenger, champion.collection) == 1
    assert set(challenger.collection.videos) == {"v0", "v2", "v3"}
    challenger.remove_video("v2")
    with pytest.raises(ValueError, match="lacks video 'v2' of the champion's; index the same videos"):
        leave_out_strangers(challenger, champion.collection)


def test_a_bento_holds_its_parts_below_its_source(tmp_path: Path) -> None:
    for part in ("bundle", "index"):
        (tmp_path / "src" / "data" / part).mkdir(parents=True)
    assert find_parts(tmp_path) == (tmp_path / "src" / "data" / "bundle", tmp_path / "src" / "data" / "index")
