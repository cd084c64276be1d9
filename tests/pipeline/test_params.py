"""Validation of params: wrong values stop the pipeline before any work, with a message that names key, value and remedy."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from corpus.params import Params
from corpus.schema_files import load_yaml, validate
from pipeline.components.presets import preset_path
from pipeline.components.trained import load_localizer
from pipeline.params import PARAMS_FILE, load_params

Tree = dict[str, dict[str, object]]


@pytest.fixture
def tree() -> Tree:
    content: Tree = yaml.safe_load(PARAMS_FILE.read_text(encoding="utf-8"))
    return content


def load(tree: Tree, folder: Path) -> None:
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(tree), encoding="utf-8")
    load_params(path)


def test_the_committed_params_load() -> None:
    assert load_params().corpus.name


def test_a_misspelt_key_is_named_with_its_value_and_its_absence(tree: Tree, tmp_path: Path) -> None:
    tree["extract"] = {"videos_per_shart": 32}
    with pytest.raises(ValueError, match=r"extract\.videos_per_shard is missing") as caught:
        load(tree, tmp_path)
    assert "unknown key extract.videos_per_shart = 32; known: videos_per_shard; correct its spelling" in str(caught.value)


def test_an_unknown_stage_is_named(tree: Tree, tmp_path: Path) -> None:
    tree["exctract"] = {}
    with pytest.raises(ValueError, match=r"unknown key exctract = \{\}; known: corpus, evaluate, export, extract, ") as caught:
        load(tree, tmp_path)
    assert "train, validate; correct its spelling or remove it" in str(caught.value)


class Square(Params):
    name: Literal["square"]
    side: float = 1.0


class Circle(Params):
    name: Literal["circle"]
    radius: float = 1.0


Shapes = tuple[Annotated[Square | Circle, Field(discriminator="name")], ...]


def test_an_unknown_key_of_one_component_among_several_lists_the_keys_of_that_component() -> None:
    with pytest.raises(ValueError, match=r"losses\.yaml: unknown key 0\.circle\.radios = 2; known: name, radius; correct"):
        validate(Shapes, [{"name": "circle", "radios": 2}], source=Path("losses.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"name": "cube"}, r"a\.yaml: losses\.0\.name = 'cube' is unknown; known: circle, square$"),
        ({"side": 2}, r"a\.yaml: the key losses\.0\.name is missing; known: circle, square$"),
        ("cube", r"a\.yaml: losses\.0 = 'cube' must be a mapping with a name; known: circle, square$"),
    ],
)
def test_an_unknown_name_among_several_components_lists_the_known_ones(content: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate(Shapes, [content], source=Path("a.yaml"), within="losses")


def test_an_unknown_name_of_a_whole_file_lists_the_known_ones() -> None:
    registry = Annotated[Square | Circle, Field(discriminator="name")]
    with pytest.raises(ValueError, match=r"cube\.yaml: name = 'cube' is unknown; known: circle, square$"):
        validate(registry, {"name": "cube"}, source=Path("cube.yaml"))


def test_an_unknown_loss_of_a_preset_lists_the_known_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    preset = yaml.safe_load(preset_path("localizer", "tan2d").read_text(encoding="utf-8"))
    preset["losses"].append({"name": "facal"})
    monkeypatch.chdir(tmp_path)
    preset_path("localizer", "tan2d").parent.mkdir(parents=True)
    preset_path("localizer", "tan2d").write_text(yaml.safe_dump(preset), encoding="utf-8")
    with pytest.raises(ValueError, match=r"tan2d\.yaml: losses\.1\.name = 'facal' is unknown; known: .*focal, .*info_nce, "):
        load_localizer("tan2d")


def test_a_value_out_of_range_is_named_with_its_rule(tree: Tree, tmp_path: Path) -> None:
    tree["search"]["max_iou"] = 1.5
    with pytest.raises(ValueError, match=r"search\.max_iou = 1\.5: Input should be less than or equal to 1"):
        load(tree, tmp_path)


@pytest.mark.parametrize("name", ["../elsewhere", "", "/abs", ".hidden"])
def test_a_corpus_name_that_is_no_folder_name_is_refused(tree: Tree, tmp_path: Path, name: str) -> None:
    tree["corpus"]["name"] = name
    with pytest.raises(ValueError, match=r"corpus\.name"):
        load(tree, tmp_path)


def test_every_wrong_key_is_reported_at_once(tree: Tree, tmp_path: Path) -> None:
    tree["search"]["survivors"] = 0
    tree["evaluate"]["seed"] = -1
    with pytest.raises(ValueError, match="search.survivors") as caught:
        load(tree, tmp_path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_file_that_holds_no_mapping_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("- a\n", encoding="utf-8")
    with pytest.raises(ValueError, match="must hold a mapping of keys to values, got list"):
        load_yaml(path)


def test_an_unknown_component_lists_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("tan2d", "place_tan"):
        preset_path("localizer", name).parent.mkdir(parents=True, exist_ok=True)
        preset_path("localizer", name).write_text(f"name: {name}\n", encoding="utf-8")
    message = r"presets/localizer/tan3d\.yaml does not exist: there is no localizer named 'tan3d'; known: place_tan, tan2d"
    with pytest.raises(ValueError, match=message):
        load_yaml(preset_path("localizer", "tan3d"))


def test_words_that_yaml_once_took_for_truth_values_stay_words(tmp_path: Path) -> None:
    path = tmp_path / "preset.yaml"
    path.write_text("on: yes\noff: no\nreal: [true, False]\n", encoding="utf-8")
    assert load_yaml(path) == {"on": "yes", "off": "no", "real": [True, False]}
