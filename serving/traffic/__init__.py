"""The traffic log: what was asked and answered, for watching the traffic. Feedback has its own journal."""
