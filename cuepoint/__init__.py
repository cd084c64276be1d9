"""The command line: sub-commands, each a thin wrapper around a package below.

A command imports its package when it runs, so `cuepoint --help` loads none of them. Retrieval, training and HTTP live
in the packages below.
"""
