"""Report of an evaluation: the HTML page, its diagrams and its pictures. No figure is computed here."""
