"""Masked convolutions of 2D-TAN over a moment map, at a fraction of the cost of the authors' formulation."""
