"""Page and plot of the drift benchmark, from its records."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from scipy.stats import binom

from corpus.files import write_bytes

Record = dict[str, Any]


def write_page(numbered: Sequence[tuple[int, Record]], page: Path, plot: Path) -> None:
    """Write the page and the plot."""
    records = [record for _, record in numbered]
    setting, quiet, *delays = records
    write_bytes(page, "\n".join(_list_lines(setting, quiet, delays)).encode() + b"\n")
    draw(setting["window"], delays, plot)


def _list_lines(setting: Record, quiet: Record, delays: Sequence[Record]) -> list[str]:
    limit = int(binom.ppf(0.975, quiet["windows"], 0.05))
    tests = ", ".join(f"`{key}` {number}" for key, number in sorted(quiet["by_test"].items())) or "none"
    return [
        "# Drift of the traffic",
        "",
        "```bash",
        f"python tests/benchmarks/drift.py{' --words' if setting['words'] else ''}",
        "```",
        "",
        f"At {setting['commit']}, {setting['cpu']}, seed {setting['seed']}, {setting['took_s'] / 60:.0f} minutes. "
        f"{_describe_models(setting)} A window has {setting['window']} sentences about fresh scenes, one a "
        f"scene, drawn from {setting['pools'][0]} scenes of the world of training and {setting['pools'][1]} of `test_shifted`.",
        "",
        "## False alarms",
        "",
        f"**{quiet['alarms']} of {quiet['windows']}** windows without shift raise an alarm at the 5 % level; "
        f"{limit} would still agree with 5 %. Tests below the level: {tests}. Windows share the reference and the pool, so "
        "alarms are not quite independent.",
        "",
        "## Delay",
        "",
        "Sentences until the first alarm, and until a retrain starts, which takes two windows with drift in a row.",
        "",
        "| shifted | runs | alarm in the first window | alarm within 12 windows | sentences until it, median "
        "| retrain within 12 windows | sentences until it, median |",
        "|---|---|---|---|---|---|---|",
        *(_to_row(one, setting["window"]) for one in delays),
        "",
        "![Share of runs with an alarm and with a retrain by the number of sentences](../../docs/drift.svg)",
    ]


def _describe_models(setting: Record) -> str:
    if setting["words"]:
        return (
            "No models take part: a sentence is the mean of 32 random numbers for each of its words, known words are those of "
            "the training sentences, and scores and verdicts are not compared. The reference is "
            f"{setting['reference']} sentences, one for each training and validation video of the default corpus."
        )
    return (
        f"The models come from a drawn corpus of {setting['videos']['train']} training and {setting['videos']['val']} validation "
        f"videos. The reference is {setting['reference']} sentences, one a video, and the answers to {setting['searched']} "
        "sentences of validation."
    )


def _to_row(delay: Record, window: int) -> str:
    alarms, retrains = ([one for one in delay[key] if one is not None] for key in ("alarms", "retrains"))
    first = sum(one == window for one in alarms)
    cells = [f"{delay['share']:.0%}", delay["runs"], first, len(alarms), _middle(alarms), len(retrains), _middle(retrains)]
    return f"| {' | '.join(map(str, cells))} |"


def _middle(values: Sequence[int]) -> str:
    return f"{median(values):.0f}" if values else "-"


def draw(window: int, delays: Sequence[Record], path: Path) -> None:
    """Draw the share of runs with an alarm and with a retrain against the number of sentences."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    most = 12
    for panel, key, title in zip(axes, ("alarms", "retrains"), ("first alarm", "retrain (two windows in a row)"), strict=True):
        for number, delay in enumerate(delays):
            found = [value for value in delay[key] if value is not None]
            steps = [window * step for step in range(most + 1)]
            shares = [sum(value <= step for value in found) / delay["runs"] for step in steps]
            panel.step(
                steps,
                shares,
                where="post",
                label=f"{delay['share']:.0%} shifted",
                color=f"C{number}",
                linewidth=4.5 - 0.8 * number,
            )
        panel.set(title=title, xlabel="sentences", xlim=(0, most * window), ylim=(-0.02, 1.02))
        panel.grid(alpha=0.25)
    axes[0].set_ylabel("share of runs")
    axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.68), frameon=False, fontsize=9)
    with mpl.rc_context({"svg.hashsalt": "cuepoint"}):
        figure.savefig(path, metadata={"Date": None})
