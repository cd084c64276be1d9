"""Leftovers of killed processes: what they are, and their repair. Leftovers in Prefect are in `flows.leftovers`.

A check changes nothing; only the `fix` of a finding does.
"""
