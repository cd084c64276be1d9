"""A small project with both towers of a CLIP of the size of ViT-B/32, at one frame a second. Its weights are random."""

from pathlib import Path
from typing import Any

from corpus.media import ClipSampling
from corpus.records import save_corpus
from corpus.schema_files import load_yaml
from pipeline.components.presets import preset_path
from small_project import SmallProject, build_corpus, save_models, save_project_index
from tiny_text import save_vit_b32

FLOPS_PER_FRAME = 8.8e9  # of the picture tower: 4.4 G multiply-adds, Radford et al. 2021 (arXiv:2103.00020)


def save_vit_project(root: Path, *, source: Path | None = None) -> SmallProject:
    """Write source, encoders, features, roles without weights, bundle and index below `root`: about two gigabytes.

    `source` is a folder that `save_vit_b32` wrote.
    """
    from models.encoders.text.clip_text import CLIPTextParams
    from models.encoders.video.clip_image import CLIPImageParams
    from models.localizers.readouts.readout_window_contrast import WindowContrastParams
    from models.retrievers.shared_space import SharedSpaceParams

    project = SmallProject(root)
    names: dict[str, Any] = {"source": str(source or save_vit_b32(root / "source"))}
    corpus = build_corpus(project.raw)
    save_corpus(corpus, project.corpus)
    encoders = {"video": CLIPImageParams(name="clip_image", sampling=choose_sampling(), **names)}
    roles = {
        "retriever": SharedSpaceParams(name="shared_space"),
        "localizer": WindowContrastParams(name="readout_window_contrast", num_cells=32),
    }
    save_models(project, corpus, encoders, roles, text=CLIPTextParams(name="clip_text", text_cleaning="none", **names))
    save_project_index(project)
    return project


def choose_sampling() -> ClipSampling:
    """Return the sampling of the pair `clip`, at one frame a second."""
    values = load_yaml(preset_path("pair", "clip"))["sampling"]
    return ClipSampling.model_validate(values | {"clip_rate_hz": 1.0})
