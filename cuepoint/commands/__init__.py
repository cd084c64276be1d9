"""The sub-commands, one module a subject: the arguments of each command and the call of the package that does the work.

A module adds its commands with `add` and imports packages only inside functions. `cuepoint.running` owns errors and exit codes.
"""
