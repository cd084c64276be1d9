"""Tests that stand for documented commands which start a server, train for long, or run the tests themselves."""

import re
from typing import NamedTuple

from documented_commands import ROOT, Command


class Proof(NamedTuple):
    """Commands by pattern, and the test that runs them."""

    pattern: str
    test: str
    page: str = ""  # all pages, unless the test runs one page as it is

    def read_module(self) -> str:
        """Return the text of the test's module and of the fixtures beside it."""
        path = ROOT / self.test.partition("::")[0]
        files = (path, path.with_name("conftest.py"))
        return "\n".join(file.read_text(encoding="utf-8") for file in files if file.is_file())

    def applies(self, command: Command) -> bool:
        """Tell whether the test stands for a command."""
        return self.page in ("", command.page) and re.match(self.pattern, " ".join(command.words)) is not None


_SERVED = "tests/pipeline/launch/test_serve.py"
_EXPERIMENT = "tests/test_dvc_pipeline.py::test_another_localizer_is_one_option_away_and_its_tuning_one_more"
_SCHEDULED = "tests/flows/test_deploy.py::test_a_scheduled_run_finishes_the_pipeline_and_registers_a_champion"
_RETRAINED = "tests/flows/test_retrained_pipeline.py"
_REBUILT = "test_a_retrained_champion_is_explained_rebuilt_and_taken_back_by_the_documented_commands"
_PUBLISHED = "tests/test_pair_pipeline.py::test_one_option_runs_what_depends_on_the_encoders_and_nothing_before"
_OPTION = r"-S (pretrain\.|presets/|train\.seed|train\.models\.localizer=tan2d)\S*"
_FETCHED = "tests/pipeline/published/test_fetching.py::test_a_fetched_pair_is_a_bundle_that_names_its_licences_and_revision"
_FETCHED_AGAIN = "test_a_second_fetch_takes_what_is_whole_and_makes_what_is_damaged_anew"
_INT8 = "tests/pipeline/published/test_int8.py::test_an_int8_model_lies_beside_the_other_and_states_its_cosines"
PROOFS = (
    Proof("cuepoint models fetch real", _FETCHED),
    Proof("cuepoint (models fetch .*--int8|index .*--model)", _INT8),
    Proof("cuepoint models fetch", f"tests/pipeline/published/test_pair_bundle.py::{_FETCHED_AGAIN}"),
    Proof("cuepoint search .*--exit-code", "tests/cuepoint/test_search.py::test_the_exit_code_tells_the_verdicts_apart"),
    Proof("cuepoint serve --index", f"{_SERVED}::test_videos_without_annotations_are_indexed_searched_and_played"),
    Proof("cuepoint serve --challenger", "tests/cuepoint/test_serve.py::test_with_mlflow_the_champion_is_chosen"),
    Proof("cuepoint serve", f"{_SERVED}::test_the_bento_of_a_pipeline_answers_and_plays_on_loopback"),
    Proof("cuepoint ui", "tests/pipeline/launch/test_runs_page.py::test_the_start_and_the_readiness_of_the_page_are_printed"),
    Proof(
        "cuepoint (server|deploy|worker)",
        _SCHEDULED,
    ),
    Proof("cuepoint (retrain|gate|explain|rollback|rebuild)", f"{_RETRAINED}::{_REBUILT}"),
    Proof("cuepoint watch", "tests/cuepoint/test_watch.py::test_watch_prints_and_writes_the_report"),
    Proof("cuepoint feedback export", "tests/cuepoint/test_watch.py::test_feedback_export_adds_to_a_corpus"),
    Proof("cuepoint challenger", "tests/pipeline/launch/test_challenger.py::test_a_bento_that_lost_may_still_be_the_challenger"),
    Proof("curl|$", "tests/serving/api/test_service_docs.py::test_every_command_of_the_docs_succeeds", page="docs/api.md"),
    Proof("cuepoint bench$", "tests/flows/bench/test_commands.py::test_a_killed_bench_keeps_its_results_and_records_failures"),
    Proof(
        r"dvc exp run -S \+pretrain\.streams\.sound=log_mel",
        "tests/test_sound_pipeline.py::test_one_option_each_adds_the_stream_and_the_models_that_read_it",
    ),
    Proof(
        r"dvc exp run -S \+pretrain\.streams\.slow=place_cnn_slow",
        "tests/test_sound_pipeline.py::test_the_stream_of_pictures_keeps_its_bytes",
    ),
    Proof(
        r"dvc exp run (-S (corpus\.(name|reader)|validate\.suite)=\w+ )+package evaluate$",
        "tests/test_real_videos.py::test_an_experiment_on_real_videos_is_scored",
    ),
    Proof(r"dvc exp run -S pretrain\.encoder=", _PUBLISHED),
    Proof(rf"dvc exp run (--name \S+-2027 )?({_OPTION}( |$))+$", _EXPERIMENT),
)
UNRUN = {  # commands that no test can run: pattern -> reason. Their options are checked.
    r"make (check|test|test-all)$": "runs the tests, this one among them",
    r"python tests/benchmarks/suite_time\.py$": "runs the tests, this one among them",
    r"python tests/benchmarks/not_found(_names)?\.py": "needs an index and sentences of your own, or measures for long",
    r"hf download": "needs the hub",
    r"bentoml containerize|docker run": "needs Docker",
}


def find_proof(command: Command) -> Proof | None:
    """Return the first entry that applies, None for a command that has to run."""
    return next((proof for proof in PROOFS if proof.applies(command)), None)


def find_reason(command: Command) -> str | None:
    """Return why no test runs a command."""
    return next((why for pattern, why in UNRUN.items() if re.match(pattern, " ".join(command.words))), None)


def has_to_run(command: Command) -> bool:
    """Tell whether the test of a command's page runs it."""
    return find_proof(command) is None and find_reason(command) is None


def list_needed(command: Command, proof: Proof) -> list[str]:
    """Return what a test that runs a command must hold: its sub-commands and options, or the page that it reads."""
    if proof.page:
        return [command.page.removeprefix("docs/")]
    needed: list[str] = []
    for word in command.words[1:]:
        if not re.fullmatch(r"[a-z]+", word):
            break
        needed.append(word)
    options = [word.partition("=")[0] for word in command.words if re.fullmatch(r"--?[A-Za-z][A-Za-z-]*(=.*)?", word)]
    return [*needed, *options]
