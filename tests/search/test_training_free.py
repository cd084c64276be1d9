"""Roles without weights in a bundle: they are exported, indexed and served like trained roles, and answer like torch."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corpus.moments import resample_clips
from corpus.records import load_corpus
from corpus.store import FeatureStore
from models.artefacts.checkpoint import load_localizer
from models.artefacts.encoder_files import load_encoders
from models.contracts.inputs import encode_queries, stack_videos
from models.localizers.readouts.readout_peak_width import PeakWidthParams
from models.localizers.readouts.readout_watershed import WatershedParams
from models.retrievers.shared_space import SharedSpaceParams
from search.answers import SearchQuery
from search.predictor import MomentPredictor
from search.two_stage import ScoredSpans, rank_in_video
from small_project import SmallProject, choose_video_encoder, save_models, save_project_index

pytestmark = pytest.mark.slow

QUERY = "a red circle moves left"
READOUTS = [WatershedParams(name="readout_watershed", num_cells=8), PeakWidthParams(name="readout_peak_width", num_cells=8)]


@pytest.fixture(scope="module", params=READOUTS, ids=lambda params: params.name)
def project(request: pytest.FixtureRequest, small_models: Any, tmp_path_factory: pytest.TempPathFactory) -> SmallProject:
    made = SmallProject(tmp_path_factory.mktemp("training-free"))
    for part in ("raw", "corpus"):
        shutil.copytree(getattr(small_models, part), getattr(made, part))
    roles = {"retriever": SharedSpaceParams(name="shared_space"), "localizer": request.param}
    save_models(made, load_corpus(made.corpus), {"video": choose_video_encoder()}, roles)
    save_project_index(made)
    return made


def test_a_search_of_the_collection_answers_inside_the_videos(project: SmallProject) -> None:
    predictor = MomentPredictor.load(project.bundle, project.index, num_threads=1)
    (answer,) = predictor.search(SearchQuery(QUERY, 5, min_confidence=0.0))
    durations_s = {video_id: video.duration_s for video_id, video in predictor.collection.videos.items()}
    assert answer.moments
    for moment in answer.moments:
        assert 0 <= moment.start_s < moment.end_s <= durations_s[moment.video_id] + 1e-4


@torch.no_grad()
def test_a_video_is_answered_as_by_torch(project: SmallProject) -> None:
    predictor = MomentPredictor.load(project.bundle, project.index, num_threads=1)
    encoders, (localizer, _) = load_encoders(project.encoder), load_localizer(project.checkpoints / "localizer")
    clips = FeatureStore(project.features).stream("video").load("v3")
    cells = {"video": resample_clips(clips, localizer.num_cells).astype(np.float16)}
    duration_s = predictor.collection.videos["v3"].duration_s
    text = encode_queries(encoders.text, encoders.tokenizer, [QUERY])
    found = localizer(stack_videos([cells], [duration_s], localizer.num_cells), text)
    candidates = ScoredSpans(found.spans[found.valid].numpy(), found.scores[found.valid].numpy())
    expected = rank_in_video("v3", candidates, predictor.bundle.manifest.search, top_k=3)
    answer = predictor.localize(QUERY, "v3", top_k=3)
    moments = answer.moments or (answer.best_guess,)
    for moment, other in zip(moments, expected, strict=False):
        assert moment is not None
        assert (moment.start_s, moment.end_s) == pytest.approx((other.start_s, other.end_s), abs=1e-4)


def test_the_checkpoint_of_a_role_without_weights_is_whole(project: SmallProject, tmp_path: Path) -> None:
    localizer, config = load_localizer(project.checkpoints / "localizer")
    assert localizer.state_dict() == {}
    assert config.component["name"].startswith("readout_")
