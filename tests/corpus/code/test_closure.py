"""Import closure of modules, on a small checkout written by the tests."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from corpus.code import Closure, find_closure, find_registry

FILES = {
    "stages/__init__.py": "",
    "stages/train.py": "from parts import build\nfrom parts.slot import SlotParams\n",
    "parts/__init__.py": "",
    "parts/build.py": (
        "from typing import TYPE_CHECKING\nimport typing\n"
        "if TYPE_CHECKING:\n    from parts import hints\nelse:\n    from parts import otherwise\n"
        "if typing.TYPE_CHECKING:\n    import parts.hints\n"
        "def f():\n    try:\n        from parts.lazy import g\n    except ImportError:\n        from . import fallback\n"
        "COMMAND = ['-m', 'parts.worker']\nSERVICE = 'parts.service:Service'\nPAGE = 'page'\nWORD = 'parts'\n"
    ),
    **{f"parts/{name}.py": "" for name in ("hints", "otherwise", "fallback", "worker", "unused")},
    "parts/lazy.py": "import parts.deep.inner\nimport numpy\n",
    "parts/service.py": "from ..stages import nothing\n",
    "parts/deep/__init__.py": "from parts.deep.beside import x\n",
    "parts/deep/inner.py": "TEMPLATE = 'report.html'\n",
    "parts/deep/beside.py": "x = 1\n",
    "parts/deep/report.html": '<link href="report.css">',
    "parts/deep/report.css": "body {}",
    "parts/deep/other.css": "p {}",
    "parts/page/app.js": "let x = 1",
    "parts/slot/__init__.py": (
        "from typing import Annotated\nfrom pydantic import Field\n"
        "from parts.slot.base import check\nfrom parts.slot.one import OneParams\n"
        "from parts.slot.family.params import TwoParams\n"
        "SlotParams = Annotated[OneParams | TwoParams, Field(discriminator='name')]\ndef pick(name):\n    return check(name)\n"
    ),
    "parts/slot/base.py": "",
    "parts/slot/one.py": "from parts.slot import base\nclass OneParams:\n    name: Literal['one'] = 'one'\n",
    "parts/slot/family/params.py": (
        "class TwoParams:\n    name: Literal['two']\n    def build(self):\n        from parts.slot.family.network import N\n"
    ),
    "parts/slot/family/network.py": "",
}
EXPECTED = {
    *("stages/__init__.py", "stages/train.py", "parts/__init__.py", "parts/build.py", "parts/otherwise.py", "parts/lazy.py"),
    *("parts/fallback.py", "parts/worker.py", "parts/service.py", "parts/slot/__init__.py", "parts/slot/base.py"),
    *("parts/deep/__init__.py", "parts/deep/inner.py", "parts/deep/beside.py"),
    *("parts/deep/report.html", "parts/deep/report.css", "parts/page/app.js"),
}
FAMILY = {"parts/slot/family/params.py", "parts/slot/family/network.py"}
Find = Callable[..., Closure]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


@pytest.fixture
def find(checkout: Path) -> Find:
    return lambda *started: find_closure(started or ["stages.train"], root=checkout)


def test_imports_are_followed_in_functions_strings_and_packages_but_not_for_type_checkers_or_past_registries(find: Find) -> None:
    assert set(find().files) == EXPECTED


def test_a_chosen_component_is_followed_to_the_imports_of_its_build(find: Find) -> None:
    assert set(find("stages.train", "parts.slot.family.params").files) == EXPECTED | FAMILY
    assert set(find("stages.train", "parts.slot.one").files) == EXPECTED | {"parts/slot/one.py"}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_file_of_a_closure_counts(name: str, find: Find, checkout: Path) -> None:
    before = find()
    path = checkout / name
    path.write_text(path.read_text(encoding="utf-8") + "\nadded = 1\n", encoding="utf-8")
    after = find()
    assert after.hash != before.hash
    assert {path for path, digest in after.files.items() if before.files.get(path) != digest} == {name}


@pytest.mark.parametrize("name", sorted(FILES.keys() - EXPECTED))
def test_no_other_file_counts(name: str, find: Find, checkout: Path) -> None:
    before = find().hash
    path = checkout / name
    path.write_text(path.read_text(encoding="utf-8") + "\nchanged = 2\n", encoding="utf-8")
    assert find().hash == before


@pytest.mark.parametrize(
    "name", ["parts/new.py", "parts/deep/new.py", "parts/slot/new.py", "parts/deep/new.html", "new/__init__.py"]
)
def test_an_added_file_changes_nothing(name: str, find: Find, checkout: Path) -> None:
    before = find().hash
    (checkout / name).parent.mkdir(exist_ok=True)
    (checkout / name).write_text("new = 1\n", encoding="utf-8")
    assert find().hash == before


def test_another_component_in_a_registry_changes_nothing(find: Find, checkout: Path) -> None:
    before = find("stages.train", "parts.slot.one").hash
    (checkout / "parts/slot/three.py").write_text("class ThreeParams:\n    name: Literal['three']\n", encoding="utf-8")
    path = checkout / "parts/slot/__init__.py"
    text = path.read_text(encoding="utf-8").replace(
        "OneParams | TwoParams", "(\n    OneParams\n    | ThreeParams\n    | TwoParams\n)"
    )
    path.write_text(f"from parts.slot.three import ThreeParams\n{text}", encoding="utf-8")
    assert find("stages.train", "parts.slot.one").hash == before


def test_a_second_component_in_a_slot_of_one_changes_nothing(find: Find, checkout: Path) -> None:
    path = checkout / "parts/slot/__init__.py"
    path.write_text("from parts.slot.one import OneParams\nSlotParams = OneParams\n", encoding="utf-8")
    before = find("parts.slot.one").hash
    path.write_text(
        "from typing import Annotated\nfrom pydantic import Field\nfrom parts.slot.family.params import TwoParams\n"
        "from parts.slot.one import OneParams\nSlotParams = Annotated[OneParams | TwoParams, Field(discriminator='name')]\n",
        encoding="utf-8",
    )
    assert find("parts.slot.one").hash == before


def test_a_package_comes_before_a_module_of_its_name(find: Find, checkout: Path) -> None:
    (checkout / "parts/worker").mkdir()
    (checkout / "parts/worker/__init__.py").write_text("", encoding="utf-8")
    assert set(find().files) == EXPECTED - {"parts/worker.py"} | {"parts/worker/__init__.py"}


def test_neutral_modules_are_left_out_with_their_own_imports(checkout: Path) -> None:
    found = find_closure(["stages.train"], neutral=["parts.lazy", "parts.slot"], root=checkout)
    assert set(found.files) == EXPECTED - {name for name in EXPECTED if re.match("parts/(lazy|slot|deep)", name)}


def test_a_registry_names_its_components_and_its_default(checkout: Path) -> None:
    members = find_registry("parts.slot", root=checkout)
    assert [(one.name, one.module, one.is_default) for one in members] == [
        ("one", "parts.slot.one", True),
        ("two", "parts.slot.family.params", False),
    ]
    assert find_registry("parts.deep", root=checkout) == []


def test_an_unknown_module_is_refused(find: Find) -> None:
    with pytest.raises(ModuleNotFoundError, match=r"there is no module 'stages\.tarin'"):
        find("stages.tarin")


def test_a_class_of_another_place_is_refused() -> None:
    with pytest.raises(ModuleNotFoundError, match="code identity covers the checkout alone"):
        find_closure([Path])
