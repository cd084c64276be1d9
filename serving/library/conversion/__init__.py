"""Writers of forms that browsers play: copied packets, or H.264 and AAC. `serving.library.playable` chooses the form."""
