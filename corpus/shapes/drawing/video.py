"""Writing of one scene as one video file."""

from pathlib import Path

from corpus.shapes.drawing.draw import draw_frames
from corpus.shapes.drawing.encode import write_mp4
from corpus.shapes.drawing.sound import build_sound
from corpus.shapes.params import ShapesParams
from corpus.shapes.scene import Scene


def write_video(scene: Scene, folder: Path, params: ShapesParams) -> Path:
    """Draw a scene with its sound into `folder`; the file is named after the video id."""
    path = folder / f"{scene.video_id}.mp4"
    write_mp4(path, draw_frames(scene, params.size_px), build_sound(scene, params.sample_rate_hz), params)
    return path
