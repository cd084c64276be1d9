"""Additions to /openapi.json: refusals, forms and access."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from serving.api.schemas import ErrorAnswer

_REASONS = {
    400: "A value is invalid",
    401: "The token is missing or wrong",
    404: "There is no such video or page",
    413: "The body is too large",
    429: "Too many requests, or the service is at capacity; try again after Retry-After seconds",
    503: "Not ready yet, converting, or shutting down; try again after Retry-After seconds",
}
REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": reason} for status, reason in _REASONS.items()
}
FORM_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": reason}
    for status, reason in {
        408: "The body arrives too slowly",
        409: "The service takes no more uploads",
        415: "The body has an unsupported type",
    }.items()
}


def describe_form(**fields: dict[str, Any]) -> dict[str, Any]:
    """Return the description of a form with a file and these fields; fields with a `minLength` are required."""
    properties = {"file": {"type": "string", "format": "binary", "description": "the video"}, **fields}
    required = ["file", *(name for name, field in fields.items() if field.get("minLength"))]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


def install_openapi(app: FastAPI) -> None:
    """Make the schema of the application declare 400 for invalid values, where FastAPI declares 422."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            for operations in schema["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(name, None)
            schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{}, {"token": []}]
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = build  # type: ignore[method-assign] # the documented way to extend it
