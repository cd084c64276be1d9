"""Start of the service: reads settings and locations from the environment, then verifies and loads the files."""
