"""Scores prediction files of any model under public conventions, and compares two of them or two runs."""
