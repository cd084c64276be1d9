"""One scene to one video file."""

from pathlib import Path

from corpus.shapes.draw import draw_frames
from corpus.shapes.encode import write_mp4
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import Scene
from corpus.shapes.sound import build_sound


def write_video(scene: Scene, folder: Path, params: ShapesParams) -> Path:
    """Draw a scene with its sound into `folder`; its name is the video id."""
    path = folder / f"{scene.video_id}.mp4"
    write_mp4(path, draw_frames(scene, params.size_px), build_sound(scene, params.sample_rate_hz), params)
    return path
