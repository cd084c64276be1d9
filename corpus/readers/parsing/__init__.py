"""Parsing shared by several readers: strict file formats, and errors that name the wrong row."""
