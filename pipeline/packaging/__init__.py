"""Parts of a bento: the build, example sentences and thumbnails. The service itself lives in `serving`."""
