"""A small project: four videos of 5 to 8 s, untrained models that read one or more streams, bundle and index."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from corpus.files import sha256_file, write_json
from corpus.media import ClipSampling, SoundSampling, iter_stream_clips, probe
from corpus.moments import Moment
from corpus.records import Corpus, Query, Video
from corpus.store import FeatureStore, Fingerprint, StreamEntry, combine_fingerprints, save_index, save_shard

if TYPE_CHECKING:  # torch is loaded by the tests that need it
    from models.artefacts.encoder_files import StreamEncoder
    from models.contracts.roles import ClipEncoderParams, StreamReaderParams, TextEncoderParams

SENTENCES = ("a red circle moves left", "the blue square spins", "then the green circle leaves", "a square grows and shrinks")

_SOUND_HZ = 8000


@dataclass(frozen=True)
class SmallProject:
    """The folders of a project with four videos of 5 to 8 s and untrained models, up to the index."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        """Return a folder by name: raw, corpus, encoder, features, checkpoints, bundle, index."""
        return self.root / name


def build_corpus(folder: Path, *, with_sound: bool = False) -> Corpus:
    """Write four videos, with tones if `with_sound`; the second video is silent."""
    videos, queries = [], []
    for number, sentence in enumerate(SENTENCES):
        path = folder / "videos" / f"v{number}.mp4"
        tone_hz = 100.0 * number + 100 if with_sound and number != 1 else None
        write_video(path, seed=number, seconds=5 + number, tone_hz=tone_hz)
        info = probe(path)
        split = ("train", "val", "test", "test")[number]
        values = {name: getattr(info, name) for name in info.__slots__}
        videos.append(Video(video_id=f"v{number}", path=f"videos/{path.name}", split=split, sha256=sha256_file(path), **values))
        queries.append(Query(qid=f"q{number}", video_id=f"v{number}", text=sentence, spans=(Moment(1.0, 3.0),), split=split))
    return Corpus(tuple(videos), tuple(queries))


def write_video(path: Path, *, seed: int, seconds: int, tone_hz: float | None) -> None:
    """Write a video of coloured squares that change in every frame, with a tone if asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("aac", rate=_SOUND_HZ, layout="mono") if tone_hz else None
        for _ in range(10 * seconds):
            image = np.repeat(np.repeat(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8), 8, 0), 8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
        if sound is not None:
            container.mux([*sound.encode(_draw_tone(tone_hz, seconds)), *sound.encode()])


def _draw_tone(tone_hz: float, seconds: int) -> av.AudioFrame:
    """Return a tone of increasing loudness."""
    time_s = np.arange(seconds * _SOUND_HZ) / _SOUND_HZ
    samples = np.sin(2 * np.pi * tone_hz * time_s) * time_s / seconds
    frame = av.AudioFrame.from_ndarray(samples.astype(np.float32)[None], format="fltp", layout="mono")
    frame.sample_rate = _SOUND_HZ
    return frame


def choose_video_encoder() -> "ClipEncoderParams":
    """Return an encoder of pictures with eight numbers a place and two clips a second."""
    from models.encoders.video.place_cnn import PlaceCNNParams

    sampling = ClipSampling(clip_rate_hz=2.0, offsets_s=(-0.2, 0.0, 0.2), size_px=16)
    return PlaceCNNParams(name="place_cnn", sampling=sampling, channels=(8, 8, 8), dim=8, norm_groups=2)


def choose_sound_encoder() -> "ClipEncoderParams":
    """Return an encoder of sound with eight numbers a clip and three clips a second."""
    from models.encoders.audio.log_mel import LogMelParams

    sampling = SoundSampling(clip_rate_hz=3.0, window_s=0.4, rate_hz=1000)
    return LogMelParams(name="log_mel", sampling=sampling, num_bands=4, num_steps=1, min_hz=50.0, max_hz=450.0)


def choose_roles(
    *, retriever: tuple[str, ...] = ("video",), localizer: tuple[str, ...] = ("video",)
) -> dict[str, "StreamReaderParams"]:
    """Return small roles that read streams of width 8."""
    from models.localizers.place_tan import PlaceTANParams
    from models.retrievers.dual_encoder import DualEncoderParams

    sizes = {"num_cells": 8, "num_slots": 2, "text_hidden_dim": 8, "hidden_dim": 16, "num_layers": 1, "map_dim": 4}
    return {
        "retriever": DualEncoderParams(name="dual_encoder", streams=retriever, embedding_dim=8, hidden_dim=16, text_hidden_dim=8),
        "localizer": PlaceTANParams(name="place_tan", streams=localizer, **sizes),
    }


def save_models(
    project: SmallProject,
    corpus: Corpus,
    encoders: Mapping[str, "ClipEncoderParams"],
    roles: Mapping[str, "StreamReaderParams"],
    *,
    text: "TextEncoderParams | None" = None,
) -> None:
    """Write untrained encoders of streams, their features, and untrained roles. Sentences are read by `text`, or word vectors."""
    import torch

    from models.artefacts.checkpoint import CheckpointConfig, save_checkpoint
    from models.artefacts.encoder_files import load_encoders, save_encoders
    from models.contracts.batches import InputDims, StreamDims
    from models.encoders.text.word_vectors import WordVectorsParams

    torch.manual_seed(0)
    streams = {name: params.start() for name, params in encoders.items()}
    started = (text or WordVectorsParams(name="word_vectors", dim=8)).start(SENTENCES)
    save_encoders(
        project.encoder,
        streams=streams,
        text_params=started.params,
        text=started.encoder,
        tokenizer=started.tokenizer,
    )
    loaded = load_encoders(project.encoder)
    entries = {name: _save_features(project, corpus, name, stream) for name, stream in loaded.streams.items()}
    save_index(project.features, entries)
    store = FeatureStore(project.features)
    stream_dims = {name: StreamDims(*stream.feature_shape) for name, stream in store.streams.items()}
    text_dim = loaded.text(torch.ones(1, 2, dtype=torch.int64)).tokens.shape[-1]
    for role, params in roles.items():
        dims = InputDims({name: stream_dims[name] for name in params.streams}, text_dim=text_dim)
        fingerprint = combine_fingerprints({name: entries[name].fingerprint for name in params.streams})
        config = CheckpointConfig(role, params.model_dump(mode="json"), dims, fingerprint, loaded.text_digest, longest_s=8.0)
        save_checkpoint(project.checkpoints / role, params.build(dims), config)


def _save_features(project: SmallProject, corpus: Corpus, name: str, stream: "StreamEncoder") -> StreamEntry:
    import torch

    features, sampling = {}, stream.params.sampling
    for video in corpus.videos:
        batches = iter_stream_clips(project.raw / video.path, sampling, duration_s=video.duration_s)
        clips = torch.from_numpy(np.concatenate(list(batches)))
        found = stream.encoder(clips) if clips.ndim == 2 else stream.encoder(clips.flatten(0, 1)[None])[0]
        features[video.video_id] = found.numpy().astype(np.float16)
    shard = save_shard(features, project.features / name / "shard-000.safetensors")
    fingerprint = Fingerprint(stream.fingerprint.identity, {"decoder": "any"})
    return StreamEntry(fingerprint, sampling.clip_rate_hz, [shard])


def save_project_index(project: SmallProject) -> None:
    """Write bundle and index of a small project."""
    from search.calibration import Calibration, Calibrations
    from search.params import SearchParams
    from stages.export import ExportInputs, export
    from stages.index import index

    settings = SearchParams(survivors=3, window_weight=2, localizer_weight=0.05, max_iou=0.5, moments_per_video=3)
    calibration = Calibration(slope=1.0, clip_slope=1.0, standing_slope=0.0, intercept=0.0, threshold=0.0, auc=0.9)
    learned = Calibrations(search=calibration, localize=calibration, missing={})
    write_json(project.root / "calibration.json", learned.model_dump(mode="json"))
    inputs = ExportInputs(
        project.corpus, project.encoder, project.features, project.checkpoints, project.root / "calibration.json"
    )
    export(inputs, settings, max_difference=1e-4, bundle_dir=project.bundle)
    index(
        bundle_dir=project.bundle,
        corpus_dir=project.corpus,
        features_dir=project.features,
        corpus_name="small",
        index_dir=project.index,
    )
