"""Building blocks shared by several components."""
