"""Files whose frames start at known times, for the tests of frames."""

from typing import Any

EVERY_100_MS = list(range(0, 4000, 100))
UNEVEN_MS = [0, 40, 250, 260, 300, 900, 910, 1500, 1533, 1567, 2400, 2401, 2500, 3000]
LATE_MS = list(range(700, 3000, 100))
VP8 = {"codec": "libvpx", "options": {"deadline": "realtime", "cpu-used": "8", "g": "12"}}
VP9 = {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8", "g": "12"}}
B_FRAMES = {"options": {"bf": "3", "g": "12"}}
FFV1 = {"codec": "ffv1"}
# name -> writer; every frame n starts at starts_ms[n]
FILES: dict[str, dict[str, Any]] = {
    "plain.mp4": {"options": {"bf": "0"}},
    "b_frames.mp4": B_FRAMES,
    "b_pyramid.mp4": {"options": {"bf": "8", "g": "30", "b-pyramid": "normal", "refs": "5"}},
    "b_frames.mkv": B_FRAMES,
    "open_gop.mkv": {"options": {"bf": "3", "g": "6", "x264-params": "open-gop=1"}},
    "open_gop.mp4": {"options": {"bf": "3", "g": "6", "x264-params": "open-gop=1"}},
    "intra_refresh.mp4": {"options": {"bf": "0", "g": "10", "intra-refresh": "1"}},
    "one_key.mp4": {"options": {"bf": "3", "g": "400"}},
    "only_keys.mp4": {"options": {"g": "1"}},
    "sliced.mp4": {"options": {"bf": "2", "slices": "3"}, "size": (64, 96)},
    "interlaced.mkv": {"options": {"bf": "2", "flags": "+ilme+ildct"}},
    "fragments.mp4": B_FRAMES | {"muxer": {"movflags": "frag_keyframe+empty_moov+default_base_moof"}},
    "index_first.mp4": B_FRAMES | {"muxer": {"movflags": "+faststart"}},
    "negative_offsets.mp4": B_FRAMES | {"muxer": {"movflags": "negative_cts_offsets"}},
    "sound.mp4": B_FRAMES | {"sound_s": 4.0},
    "more_sound.mp4": {"sound_s": 6.0},
    "mov.mov": B_FRAMES,
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3"}},
    "hevc.mkv": {"codec": "libx265", "options": {"x265-params": "log-level=none:keyint=12:bframes=3"}},
    "vp8.webm": VP8,
    "vp9.webm": VP9,
    "vp9_sound.webm": VP9 | {"sound_s": 4.0, "sound_codec": "libopus"},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "8", "crf": "1", "svtav1-params": "lp=1"}, "size": (256, 192)},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"bf": "0", "g": "4"}},
    "mpeg4_b.avi": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "mpeg4_b.mp4": {"codec": "mpeg4", "options": {"bf": "2", "g": "12"}},
    "h264.avi": {"options": {"bf": "0"}},
    "mjpeg.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "mpeg2.mkv": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "h264.ts": B_FRAMES,
    "h264.flv": B_FRAMES,
    "odd_size.mkv": FFV1 | {"pix_fmt": "yuv444p", "size": (67, 51)},
    "odd_size.mp4": {"pix_fmt": "yuv444p", "size": (67, 51), "options": {"bf": "3"}},
    "ten_bit.mkv": FFV1 | {"pix_fmt": "yuv420p10le"},
    "gray.mkv": FFV1 | {"pix_fmt": "gray"},
    "uneven.mp4": {"starts_ms": UNEVEN_MS, "options": {"bf": "0"}},
    "uneven_b.mp4": {"starts_ms": UNEVEN_MS, "options": {"bf": "3"}},
    "uneven_b.mkv": {"starts_ms": UNEVEN_MS, "options": {"bf": "3"}},
    "uneven.webm": VP9 | {"starts_ms": UNEVEN_MS},
    "late.mp4": {"starts_ms": LATE_MS, "options": {"bf": "0"}},
    "late_b.mp4": {"starts_ms": LATE_MS} | B_FRAMES,
    "late_with_sound.mp4": {"starts_ms": LATE_MS, "sound_s": 3.0},
    "late.mkv": {"starts_ms": LATE_MS},
    "late.webm": VP8 | {"starts_ms": LATE_MS},
    "late_with_sound.webm": VP9 | {"starts_ms": LATE_MS, "sound_s": 3.0, "sound_codec": "libopus"},
}
# Edit lists of a video of 4 s with a frame every 100 ms: (duration, start in the media or None) -> shown frames
EDITS: dict[str, tuple[list[tuple[float, float | None]], list[tuple[float, int]]]] = {
    "trimmed": ([(2.7, 1.3)], [(0.1 * place, 13 + place) for place in range(27)]),
    # FFmpeg, and therefore Chromium, moves the first whole frame to the start
    "trimmed_between_frames": ([(2.65, 1.35)], [(0.1 * place, 14 + place) for place in range(26)]),
    "delayed": ([(0.7, None), (4.0, 0.0)], [(0.7 + 0.1 * place, place) for place in range(40)]),
    "cut_in_the_middle": (
        [(1.0, 1.0), (1.0, 3.0)],
        [(0.1 * place, 10 + place) for place in range(10)] + [(1 + 0.1 * place, 30 + place) for place in range(10)],
    ),
    "swapped": (
        [(1.0, 2.0), (1.0, 0.0)],
        [(0.1 * place, 20 + place) for place in range(10)] + [(1 + 0.1 * place, place) for place in range(10)],
    ),
}  # fmt: skip
