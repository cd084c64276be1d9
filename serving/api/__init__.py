"""The HTTP side of the service: what is asked and answered, and who may ask how much."""
