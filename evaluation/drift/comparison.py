"""Comparison of a window with its reference by all tests, and one decision at a controlled level."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from corpus.moments import Floats
from evaluation.drift.counts import compare_categories, compare_shares, compare_stability, count_categories
from evaluation.drift.domain_classifier import compare_by_classifier
from evaluation.drift.kernel import Tested, compare_mmd
from evaluation.drift.marginals import compare_features
from evaluation.drift.samples import Sample

LEVEL = 0.05
NUM_PERMUTATIONS = 999
LEAST_ROWS = 10  # of sentences, answers or feedback on each side: fewer show nothing
LEAST_VIDEOS = 8
MOST_VERBS = 12


class Finding(NamedTuple):
    """The outcome of one test, or the reason why it did not run."""

    key: str
    subject: str  # what was compared
    method: str  # by what
    unit: str  # of the statistic
    statistic: float | None = None
    p_value: float | None = None
    before: str = ""  # the reference in words
    now: str = ""  # the window in words
    reason: str = ""  # why it did not run

    def adjust(self, num_tests: int) -> float | None:
        """Return the p-value times the number of tests, at most 1."""
        return None if self.p_value is None else min(1.0, num_tests * self.p_value)


@dataclass(frozen=True)
class Comparison:
    """All findings on one window."""

    findings: tuple[Finding, ...]
    level: float

    @property
    def num_tests(self) -> int:
        """The number of tests that ran."""
        return sum(one.p_value is not None for one in self.findings)

    @property
    def p_value(self) -> float:
        """The p-value of the window: the smallest one times the number of tests (Bonferroni), at most 1.

        It holds its level whatever the tests share, and most of them look at the same sentences.
        """
        adjusted = [one.adjust(self.num_tests) for one in self.findings]
        return min((value for value in adjusted if value is not None), default=1.0)

    @property
    def has_drift(self) -> bool:
        """Whether the window differs from its reference."""
        return self.num_tests > 0 and self.p_value <= self.level

    def list_moved(self) -> list[Finding]:
        """Return the findings below the level after adjustment, the clearest first."""
        found = [(one.adjust(self.num_tests), one) for one in self.findings]
        moved = [(value, one) for value, one in found if value is not None and value <= self.level]
        return [one for _, one in sorted(moved, key=lambda pair: pair[0])]


class _Test(NamedTuple):
    key: str
    subject: str
    method: str
    unit: str
    run: Callable[[Sample, Sample, np.random.Generator], Finding | str]  # a text says why it did not run


def compare(reference: Sample, window: Sample, *, seed: int, level: float = LEVEL) -> Comparison:
    """Run every test that the samples have data for; a seed gives equal p-values again."""
    findings = []
    for number, test in enumerate(_TESTS):
        outcome = test.run(reference, window, np.random.default_rng([seed, number]))
        blank = Finding(test.key, test.subject, test.method, test.unit)
        if isinstance(outcome, str):
            findings.append(blank._replace(reason=outcome))
        else:
            findings.append(outcome._replace(**blank._asdict() | _keep_outcome(outcome)))
    return Comparison(tuple(findings), level)


def _keep_outcome(outcome: Finding) -> dict[str, object]:
    return {name: getattr(outcome, name) for name in ("statistic", "p_value", "before", "now")}


def _found(tested: Tested, before: str = "", now: str = "") -> Finding:
    return Finding("", "", "", "", tested.statistic, tested.p_value, before, now)


def _require(name: str, before: int, now: int, least: int = LEAST_ROWS) -> str:
    """Return why two numbers of rows are too few, empty if they are enough."""
    if min(before, now) >= least:
        return ""
    return f"needs {least} {name} on each side; there are {before} before and {now} now"


def _pair_vectors(reference: Sample, window: Sample) -> tuple[Floats, Floats] | str:
    """Return the vectors of the sentences of both, or why there are none."""
    if reference.vectors is None or window.vectors is None:
        return "the text of the sentences is not kept, or the models embed none"
    reason = _require("sentences", len(reference.vectors), len(window.vectors))
    return reason or (reference.vectors, window.vectors)


def _test_vectors(reference: Sample, window: Sample, rng: np.random.Generator) -> Finding | str:
    pair = _pair_vectors(reference, window)
    if isinstance(pair, str):
        return pair
    return _found(compare_mmd(*pair, num_permutations=NUM_PERMUTATIONS, rng=rng))


def _test_features(reference: Sample, window: Sample, _: np.random.Generator) -> Finding | str:
    pair = _pair_vectors(reference, window)
    if isinstance(pair, str):
        return pair
    found = compare_features(*pair, level=LEVEL)
    now = f"{len(found.moved)} of {pair[0].shape[1]} features moved"
    return _found(Tested(found.largest, found.p_value), "", now)


def _test_classifier(reference: Sample, window: Sample, rng: np.random.Generator) -> Finding | str:
    pair = _pair_vectors(reference, window)
    if isinstance(pair, str):
        return pair
    return _found(compare_by_classifier(*pair, rng=rng))


def _test_verbs(reference: Sample, window: Sample, rng: np.random.Generator) -> Finding | str:
    if reference.verbs is None or window.verbs is None:
        return "the text of the sentences is not kept"
    if reason := _require("sentences", len(reference.verbs), len(window.verbs)):
        return reason
    names, before, now = count_categories(reference.verbs, window.verbs, most=MOST_VERBS)
    tested = compare_categories(before, now, num_permutations=NUM_PERMUTATIONS, rng=rng)
    moved = np.argsort(-np.abs(now / now.sum() - before / before.sum()))[:3]
    shown = [f"{names[one] or '(no verb)'} {{:.0%}}" for one in moved]
    told = (", ".join(shown).format(*(counts[moved] / counts.sum())) for counts in (before, now))
    return _found(tested, *told)


def _test_lengths(reference: Sample, window: Sample, rng: np.random.Generator) -> Finding | str:
    if reason := _require("sentences", len(reference.num_words), len(window.num_words)):
        return reason
    tested = compare_stability(reference.num_words, window.num_words, num_permutations=NUM_PERMUTATIONS, rng=rng)
    return _found(tested, f"mean {reference.num_words.mean():.1f} words", f"mean {window.num_words.mean():.1f} words")


def _test_scores(reference: Sample, window: Sample, rng: np.random.Generator) -> Finding | str:
    if reference.answers is None or window.answers is None:
        return "the reference was not searched"
    before, now = reference.answers.scores, window.answers.scores
    if reason := _require("answers", len(before), len(now)):
        return reason
    tested = compare_stability(before, now, num_permutations=NUM_PERMUTATIONS, rng=rng)
    return _found(tested, f"median {np.median(before):.3g}", f"median {np.median(now):.3g}")


def _test_unknown(reference: Sample, window: Sample, _: np.random.Generator) -> Finding | str:
    if reason := _require("sentences", len(reference.has_unknown), len(window.has_unknown)):
        return reason
    pairs = [(int(one.has_unknown.sum()), len(one.has_unknown)) for one in (reference, window)]
    return _found_shares(*pairs)


def _test_not_found(reference: Sample, window: Sample, _: np.random.Generator) -> Finding | str:
    if reference.answers is None or window.answers is None:
        return "the reference was not searched"
    pairs = [(one.num_not_found, one.total) for one in (reference.answers, window.answers)]
    return _require("answers", pairs[0][1], pairs[1][1]) or _found_shares(*pairs)


def _test_wrong(reference: Sample, window: Sample, _: np.random.Generator) -> Finding | str:
    pairs = [(one.feedback.num_wrong, one.feedback.total) if one.feedback else (0, 0) for one in (reference, window)]
    return _require("verdicts of people", pairs[0][1], pairs[1][1]) or _found_shares(*pairs)


def _found_shares(before: tuple[int, int], now: tuple[int, int]) -> Finding:
    told = [f"{hits / total:.1%} of {total}" for hits, total in (before, now)]
    return _found(compare_shares(before, now), *told)


def _test_clips(reference: Sample, window: Sample, rng: np.random.Generator) -> Finding | str:
    if reference.clips is None or window.clips is None:
        return "no clip vectors of new videos are known"
    if reason := _require("videos", len(reference.clips), len(window.clips), LEAST_VIDEOS):
        return reason
    told = [f"{len(one)} videos" for one in (reference.clips, window.clips)]
    return _found(compare_mmd(reference.clips, window.clips, num_permutations=NUM_PERMUTATIONS, rng=rng), *told)


_TESTS = (
    _Test("query_mmd", "meaning of the sentences", "maximum mean discrepancy", "MMD²", _test_vectors),
    _Test(
        "query_features",
        "single features of the sentences",
        "Kolmogorov-Smirnov, false discovery rate",
        "largest gap",
        _test_features,
    ),
    _Test("query_classifier", "sentences, told apart", "domain classifier", "AUC", _test_classifier),
    _Test("verbs", "main verbs", "chi-square", "χ²", _test_verbs),
    _Test("lengths", "length of the sentences", "population stability", "PSI", _test_lengths),
    _Test("unknown", "sentences with unknown words", "Fisher's exact test", "difference", _test_unknown),
    _Test("scores", "scores of the answers", "population stability", "PSI", _test_scores),
    _Test("not_found", "answers without a moment", "Fisher's exact test", "difference", _test_not_found),
    _Test("wrong", "answers that people call wrong", "Fisher's exact test", "difference", _test_wrong),
    _Test("clip_mmd", "pictures of new videos", "maximum mean discrepancy", "MMD²", _test_clips),
)
