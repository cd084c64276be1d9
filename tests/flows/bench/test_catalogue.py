"""The arms of a bench: every preset of a role and every loss has an arm, or a stated reason for having none."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.schema_files import load_yaml
from flows.bench.arms import name_of
from flows.bench.catalogue import list_arms, load_catalogue
from flows.bench.keys import compute_arm_key
from pipeline.components.listing import list_components

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the presets of this checkout to a folder that a test may change."""
    for path in (ROOT / "presets").rglob("*.yaml"):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(project: Path, **values: Any) -> None:
    path = project / "presets" / "bench" / "models.yaml"
    content = load_yaml(path)
    path.write_text(yaml.safe_dump({**content, **values, "losses": {**content["losses"], **values.get("losses", {})}}))


@pytest.mark.parametrize("slot", ["localizer", "retriever", "blind"])
def test_every_preset_of_a_role_has_an_arm_or_a_reason_why_not(slot: str, project: Path) -> None:
    catalogue = load_catalogue("models")
    arms = [arm for arm in list_arms(catalogue) if arm.plan.role == slot and arm.group != "loss"]
    left_out = catalogue.left_out.get(slot, {})
    assert sorted([*(arm.name.partition("/")[2] for arm in arms), *left_out]) == sorted(
        path.stem for path in (ROOT / "presets" / slot).glob("*.yaml")
    )
    without = {load_yaml(ROOT / "presets" / slot / f"{preset}.yaml")["name"] for preset in left_out}
    assert {arm.plan.chosen.component.name for arm in arms} | without == {*list_components(slot)}
    assert all(left_out.values())


def test_every_loss_has_an_arm_or_a_reason_why_not(project: Path) -> None:
    catalogue = load_catalogue("models")
    shown = {name_of(arm.shown) for arm in list_arms(catalogue) if arm.shown is not None}
    left_out = catalogue.left_out["loss"]
    assert shown | {*left_out} == {*list_components("loss")}
    assert not shown & {*left_out}
    assert all(left_out.values())


def test_an_unlisted_loss_is_added_to_the_presets_own(project: Path) -> None:
    change(project, losses={"alone": [], "beside": [], "weight": 0.5})
    (arm,) = [arm for arm in list_arms(load_catalogue("models")) if arm.name == "loss/+focal"]
    assert [name_of(loss) for loss in arm.plan.chosen.losses] == ["scaled_iou_bce", "focal"]
    assert [loss.weight for loss in arm.plan.chosen.losses] == [1.0, 0.5]


def test_all_loss_arms_train_equally_long_and_differ_in_loss_and_seed_alone(project: Path) -> None:
    arms = [arm for arm in list_arms(load_catalogue("models")) if arm.group == "loss"]
    assert len({arm.plan.chosen.training for arm in arms}) == 1
    assert len({arm.plan.chosen.component for arm in arms}) == 1
    assert {arm.plan.seed for arm in arms if arm.use != "repeat"} == {2026}
    (training,) = {arm.plan.chosen.training for arm in arms}
    assert (training.max_epochs, training.patience_epochs) == (6, 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"left_out": {"loss": {"hinge": "why"}}}, "left_out.loss.hinge: no such loss; known: anchor_bce"),
        ({"left_out": {"looser": {"hinge": "why"}}}, "left_out.looser.hinge: no such looser; known: none"),
        ({"left_out": {"loss": {"focal": "why"}}}, "focal: both left out and listed as losses; remove one of the two"),
        ({"losses": {"alone": [{"name": "hinge"}]}}, "losses.alone.0"),
        ({"losses": {"epochs": 3}}, "unknown key losses.epochs = 3; known: alone, beside, localizer, max_epochs"),
    ],
)
def test_a_wrong_choice_is_named(values: dict[str, Any], message: str, project: Path) -> None:
    change(project, **values)
    with pytest.raises(ValueError, match=message):
        load_catalogue("models")


def test_two_equal_arms_are_refused(project: Path) -> None:
    change(project, losses={"alone": [{"name": "focal"}, {"name": "focal"}]})
    with pytest.raises(ValueError, match="the bench has loss/focal twice; remove one of them"):
        list_arms(load_catalogue("models"))


@pytest.mark.slow
def test_the_key_of_an_arm_depends_on_values_seed_and_data_and_on_no_other_arm(project: Path) -> None:
    def list_keys(dataset: str = "a") -> dict[str, str]:
        return {arm.name: compute_arm_key(arm, {"dataset": dataset}) for arm in list_arms(load_catalogue("models"))}

    before = list_keys()
    assert len(set(before.values())) == len(before)
    assert before == list_keys()
    assert not {*before.values()} & {*list_keys("b").values()}
    preset = project / "presets" / "localizer" / "place_tan.yaml"
    preset.write_text(preset.read_text().replace("num_slots: 3", "num_slots: 4"))
    assert {name for name, key in list_keys().items() if key != before[name]} == {"localizer/place_tan"}
