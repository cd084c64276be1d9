"""Pictures of a video: frames at given times, clips and thumbnails, upright and in SDR colours."""
