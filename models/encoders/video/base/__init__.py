"""Blocks shared by several video encoders."""
