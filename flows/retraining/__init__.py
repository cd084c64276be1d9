"""Judgement of a sealed bundle against the champion, without Prefect: the gate, the registry and the record of decisions.

The rules are `evaluation.gate`; the flow that calls this is `flows.retrain`.
"""
