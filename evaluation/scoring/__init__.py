"""Scoring of prediction files of any model by public conventions, and comparison of two systems with paired intervals."""
