"""Media files from the wild: choice of streams, packets, one continuous clock, and counted damage."""
