"""The masked convolutions of 2D-TAN over a moment map, at a fraction of the work of the authors' formulation."""
