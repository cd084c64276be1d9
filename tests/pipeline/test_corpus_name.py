"""Corpus names that look like numbers: the documented option chooses them, and errors name it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pipeline.params import load_params

CHECKOUT = Path(__file__).resolve().parents[2]


def write_params(folder: Path, name: object) -> Path:
    content = yaml.safe_load((CHECKOUT / "params.yaml").read_text(encoding="utf-8"))
    content["corpus"]["name"] = name
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("value", "name"), [(2024, "2024"), (True, "true"), (0.5, "0.5"), (None, "None"), ("2024-01-01", "2024-01-01")]
)
def test_a_name_that_yaml_took_for_something_else_names_its_folder(tmp_path: Path, value: object, name: str) -> None:
    (tmp_path / "data" / "raw" / name).mkdir(parents=True)
    assert load_params(write_params(tmp_path, value)).corpus.name == name


@pytest.mark.parametrize(
    ("value", "folder", "shown"),
    [(1000.0, "1e3", "1000.0"), (None, "null", "None"), (16, "0x10", "16"), (True, "True", "true"), (7, "007", "7")],
)
def test_a_name_that_was_changed_is_refused_with_the_option_that_keeps_it(
    tmp_path: Path, value: object, folder: str, shown: str
) -> None:
    (tmp_path / "data" / "raw" / folder).mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"corpus\.name = {value!r} is not text, and data/raw/{shown} does not exist") as caught:
        load_params(write_params(tmp_path, value))
    assert str(caught.value).endswith(f"""needs quotes: -S 'corpus.name="{folder}"'""")


def test_without_any_such_folder_the_option_is_shown_by_an_example(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="""needs quotes: -S 'corpus.name="2024"'"""):
        load_params(write_params(tmp_path, 1000.0))


def test_a_list_is_not_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"corpus\.name = \['a'\]: Input should be a valid string"):
        load_params(write_params(tmp_path, ["a"]))


PIPELINE = """
stages:
  ingest:
    cmd: {python} -m cuepoint corpus summary
    deps:
      - data/raw/${{corpus.name}}
    params:
      - corpus
"""


@pytest.mark.slow
@pytest.mark.parametrize("option", ["corpus.name=2024", "corpus.name=true", "corpus.name=0x10", 'corpus.name="1e3"'])
def test_dvc_runs_a_corpus_that_looks_like_a_number(tmp_path: Path, option: str) -> None:
    name = option.partition("=")[2].strip('"')
    corpus = tmp_path / "data" / "raw" / name
    corpus.mkdir(parents=True)
    (corpus / "annotations.csv").write_text("video,start,end,query\na,1,2,A dog.\n")
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    (tmp_path / "dvc.yaml").write_text(PIPELINE.format(python=sys.executable))
    (tmp_path / ".gitignore").write_text("/data\n")
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "start")
    run(tmp_path, sys.executable, "-m", "dvc", "init", "-q")
    run(tmp_path, "git", "add", "-A")
    run(tmp_path, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "pipeline")
    output = run(tmp_path, sys.executable, "-m", "dvc", "exp", "run", "-S", option, "ingest")
    assert f'"root": "data/raw/{name}"' in output


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
