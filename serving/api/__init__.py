"""The HTTP application of the service: endpoints, schemas, errors and metrics. The checks around it are in `serving.gate`."""
