"""Ingestion: turns annotations and probed videos, or features, into a corpus with splits, a quarantine and a summary.

The caller passes the function that probes files, so this package knows no caches or worker pools. The rules about good data
are in `corpus.gate`.
"""
