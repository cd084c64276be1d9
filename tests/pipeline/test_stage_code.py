"""Code identity of stages: an edit makes exactly the stages stale that run the edited file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.code import find_registry
from pipeline.components.slots import SLOTS
from pipeline.identity import find_run_closure, list_runs
from pipeline.params import load_params

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
Codes = dict[str, dict[str, str]]
TRAININGS = {"train@blind", "train@localizer", "train@retriever"}
EDIT = "\nEDITED = 1\n"
EDITABLE = (".py", ".css", ".js", ".html")


def list_stale(before: Codes, after: Codes) -> set[str]:
    """Return the stages whose code differs."""
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def edit(folder: Path, name: str) -> str:
    """Return a file's content with a change of its code."""
    return (folder / name).read_text(encoding="utf-8") + (EDIT if name.endswith(".py") else "\n/* edited */\n")


def swap(folder: Path, name: str, old: str, new: str) -> dict[str, str]:
    """Return a file with one text replaced."""
    content = (folder / name).read_text(encoding="utf-8")
    assert old in content
    return {name: content.replace(old, new, 1)}


def test_every_stage_and_role_of_dvc_yaml_has_a_record(codes: Codes) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert codes.keys() == stages.keys() - {"identity", "train"} | TRAININGS


def test_every_stage_watches_its_record_and_no_code(codes: Codes) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in stages.keys() - {"identity"}:
        deps = stages[name].get("do", stages[name])["deps"]
        assert deps[0] == ("data/identity/train/${key}.json" if name == "train" else f"data/identity/{name}.json")
        assert all(dep.startswith(("data/", "presets/")) or dep == "requirements.lock" for dep in deps), name


def test_the_identity_watches_every_folder_with_code(codes: Codes) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    folders = {Path(path).parts[0] for files in codes.values() for path in files}
    assert folders | {"params.yaml", "presets", "pipeline"} == {*stages["identity"]["deps"]}


def test_a_stage_that_loads_a_registry_counts_the_component_that_was_chosen_of_it(codes: Codes) -> None:
    """A stage that builds an uncounted component would never become stale by an edit of it."""
    roles = {"retriever", "localizer", "blind"}
    never_built = {f"train@{role}": roles - {role} for role in roles}  # a module that all roles share loads them
    never_built |= {"export": {"blind"}, "evaluate": {"reader"}}  # evaluate only reads annotations for prediction files
    never_built |= {"pretrain": {"loss"}}  # the loop that roles and objectives share names what a loss returns
    for stage, files in codes.items():
        for slot, (package, *_) in SLOTS.items():
            folder = package.replace(".", "/")
            components = {one.module.replace(".", "/") + ".py" for one in find_registry(package)}
            if f"{folder}/__init__.py" in files and slot not in never_built.get(stage, set()):
                assert components & files.keys(), f"{stage} loads {package} and counts none of its components"


@pytest.fixture(scope="module")
def edited(codes: Codes, code_copy: Path, change: Callable[..., Any], identify: Callable[[], Codes]) -> Codes:
    """Return the code of every stage after an edit of every counted file; a record lists files, so one run covers all edits."""
    names = sorted({name for files in codes.values() for name in files if name.endswith(EDITABLE)})
    with change({name: edit(code_copy, name) for name in names}):
        return identify()


def test_an_edit_of_any_counted_file_is_detected(codes: Codes, edited: Codes) -> None:
    assert {stage: list(files) for stage, files in edited.items()} == {stage: list(files) for stage, files in codes.items()}
    unseen = {name for stage in codes for name, code in codes[stage].items() if edited[stage][name] == code}
    assert {name for name in unseen if name.endswith(EDITABLE)} == set()


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("corpus/shapes/wording/grammar.py", {"render"}),
        ("corpus/readers/folder.py", {"ingest"}),
        ("corpus/gate/start_page.css", {"validate"}),
        ("models/objectives/mil_nce.py", {"pretrain"}),
        ("models/encoders/video/place_cnn.py", {"pretrain", "extract", *TRAININGS, "evaluate", "export"}),
        ("models/layers/gated_convolution.py", {"train@localizer", "evaluate", "export"}),
        ("models/losses/span_softmax.py", {"train@localizer"}),
        ("models/losses/info_nce.py", {"train@retriever"}),
        ("models/optimizers/adamw.py", {"pretrain", *TRAININGS}),
        ("models/blinds/text_only.py", {"train@blind", "evaluate"}),
        ("models/artefacts/exporting/lstm.py", {"export"}),
        ("evaluation/report/report.html", {"evaluate"}),
        ("search/indexing/video_indexer.py", {"index", "package"}),
        ("serving/page/app.js", {"package"}),
    ],
)
def test_an_edit_makes_exactly_the_stages_stale_that_run_it(name: str, stale: set[str], codes: Codes, edited: Codes) -> None:
    assert {stage for stage in codes if codes[stage].get(name) != edited[stage].get(name)} == stale


def test_an_edit_of_files_that_no_stage_runs_makes_nothing_stale(
    codes: Codes, code_copy: Path, change: Callable[..., Any], identify: Callable[[], Codes]
) -> None:
    names = (
        "corpus/readers/kpf.py",
        "models/localizers/fcos/pyramid.py",
        "models/losses/angular.py",
        "pipeline/tracking/server.py",
    )
    with change({name: edit(code_copy, name) for name in names}):
        assert list_stale(codes, identify()) == set()


def test_an_added_file_makes_nothing_stale_in_any_folder(
    codes: Codes, code_copy: Path, change: Callable[..., Any], identify: Callable[[], Codes]
) -> None:
    packages = ("corpus", "models", "search", "evaluation", "pipeline", "serving", "stages")
    folders = {path.parent for name in packages for path in (code_copy / name).rglob("*.py")}
    assert code_copy / "models" / "layers" in folders
    folders -= {code_copy / "stages"}  # there it would be a stage
    added = {str((folder / "added_by_a_test.py").relative_to(code_copy)): "x = 1\n" for folder in folders}
    with change(added):
        assert list_stale(codes, identify()) == set()


def test_another_component_and_its_line_in_the_registry_make_nothing_stale(
    codes: Codes, code_copy: Path, change: Callable[..., Any], identify: Callable[[], Codes]
) -> None:
    like = (code_copy / "models/losses/focal.py").read_text(encoding="utf-8")
    registry = (code_copy / "models/losses/__init__.py").read_text(encoding="utf-8")
    registry = registry.replace("    | FocalParams\n", "    | FocalParams\n    | UnusedParams\n")
    registry = registry.replace(
        "from models.losses.focal", "from models.losses.unused import UnusedParams\nfrom models.losses.focal", 1
    )
    source = like.replace('"focal"', '"unused"').replace("FocalParams", "UnusedParams")
    with change({"models/losses/unused.py": source, "models/losses/__init__.py": registry}):
        assert list_stale(codes, identify()) == set()


def test_comments_and_docstrings_make_nothing_stale(
    codes: Codes, code_copy: Path, change: Callable[..., Any], identify: Callable[[], Codes]
) -> None:
    name = "models/training/role_module.py"
    content = re.sub(r'^"""', '"""Other words. ', (code_copy / name).read_text(encoding="utf-8"), count=1)
    with change({name: f"# a comment\n\n{content}\n\n# another\n"}):
        assert list_stale(codes, identify()) == set()


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("presets/localizer/place_tan.yaml", "hidden_dim: 128", "hidden_dim: 64", set()),
        ("presets/localizer/place_tan.yaml", "inside_bce, weight", "focal, weight", {"train@localizer"}),
        ("presets/localizer/place_tan.yaml", "name: adamw", "name: sgd", {"train@localizer"}),
        ("presets/objective/mil_nce.yaml", "name: adamw", "name: sgd", {"pretrain"}),
        ("params.yaml", "localizer: place_tan", "localizer: fcos", {"train@localizer", "evaluate", "export"}),
        ("params.yaml", "reader: folder", "reader: kpf", {"ingest"}),
        ("params.yaml", "objective: mil_nce", "objective: vicreg", {"pretrain"}),
        (
            "params.yaml",
            "features: from_videos",
            "features: tacos_c3d",
            {"pretrain", "extract", *TRAININGS, "evaluate", "export"},
        ),
        ("params.yaml", "max_iou: 0.5", "max_iou: 0.6", set()),
    ],
)
def test_choosing_another_component_changes_the_code_and_tuning_one_does_not(
    name: str, old: str, new: str, stale: set[str], codes: Codes, code_copy: Path, change: Callable[..., Any], identify: Any
) -> None:
    with change(swap(code_copy, name, old, new)):
        assert list_stale(codes, identify()) == stale


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "presets/localizer/place_tan.yaml",
            "name: span_softmax",
            "name: span_sofmax",
            "presets/localizer/place_tan.yaml: losses.0.name = 'span_sofmax' is unknown; known: anchor_bce, ",
        ),
        (
            "presets/localizer/place_tan.yaml",
            "name: adamw",
            "name: lion",
            "training.optimizer.name = 'lion' is unknown; known: adamw",
        ),
        ("params.yaml", "reader: folder", "reader: foldr", "params.yaml: corpus.reader = 'foldr' is unknown; known: activitynet"),
        ("params.yaml", "localizer: place_tan", "localizer: place_tam", "there is no localizer named 'place_tam'; known: cal, "),
    ],
)
def test_a_choice_that_no_registry_has_is_refused_before_any_work(
    name: str, old: str, new: str, message: str, code_copy: Path, change: Callable[..., Any], run_program: Any
) -> None:
    with change(swap(code_copy, name, old, new)):
        done = run_program("stages.identity")
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_stage_refuses_to_run_other_code_than_is_on_record(
    code_copy: Path, change: Callable[..., Any], identify: Callable[[], Codes], run_program: Any
) -> None:
    identify()
    with change({"search/indexing/video_indexer.py": edit(code_copy, "search/indexing/video_indexer.py")}):
        done = run_program("stages.index")
    assert done.returncode == 1
    assert done.stderr == (
        "index: error: the code of index differs from the record data/identity/index.json: "
        "search/indexing/video_indexer.py changed; run: dvc repro identity, then dvc repro index\n"
    )


def test_a_role_without_a_record_is_refused_with_the_remedy(
    code_copy: Path, identify: Callable[[], Codes], run_program: Any
) -> None:
    identify()
    (code_copy / "data/identity/train/localizer.json").unlink()
    done = run_program("stages.train", "localizer")
    assert done.returncode == 1
    remedy = "run: dvc repro identity, then dvc repro train@localizer"
    assert f"there is no record of the code of train@localizer; {remedy}" in done.stderr


def test_the_records_are_those_of_this_checkout(codes: Codes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    params = load_params().model_dump(by_alias=True)
    assert {run.dvc_name: dict(find_run_closure(run, params).files) for run in list_runs(params)} == codes
