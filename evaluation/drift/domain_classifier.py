"""Domain classifier: how well a classifier tells two samples apart on rows that it was not fitted to."""

import numpy as np
from scipy.stats import mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from corpus.moments import Floats
from evaluation.drift.kernel import Tested


def compare_by_classifier(reference: Floats, window: Floats, *, rng: np.random.Generator) -> Tested:
    """Return the area under the ROC curve on held-out rows of samples (N, D) and (M, D), and its p-value.

    Half of each sample fits a logistic regression, the other half is scored. Scored rows are independent of the fit, so the
    one-sided Mann-Whitney test of their scores holds its level; 0.5 is no difference.
    Source: Lopez-Paz and Oquab 2017 (arXiv:1610.06545), with the area in place of the accuracy, because the sizes differ.
    """
    halves = [np.array_split(rng.permutation(rows), 2) for rows in (reference, window)]
    fitted, held = zip(*halves, strict=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
    model.fit(np.concatenate(fitted), np.repeat([0, 1], [len(fitted[0]), len(fitted[1])]))
    old, new = (model.decision_function(rows) for rows in held)
    found = mannwhitneyu(new, old, alternative="greater")
    return Tested(float(found.statistic) / (len(new) * len(old)), float(found.pvalue))
