"""What the OpenAPI file says of every operation alike: the problems it can answer, and the headers of writes."""

from __future__ import annotations

from typing import Any

from monitoring.api.problems import PROBLEM_TYPE

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "id": {"type": "string", "description": "the stored object that is in the way"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "value", "reason"],
                "properties": {
                    "field": {"type": "string"},
                    "value": {"type": "string"},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}
WORDS = {
    "400": "Some fields or filters cannot be used",
    "401": "Nobody is signed in",
    "403": "Your roles do not allow this",
    "404": "Nothing that you may know of is here",
    "405": "The method is not offered here",
    "406": "Only JSON is answered",
    "409": "It is in another state, or other content is stored",
    "412": "It has changed since you read it",
    "413": "The body is too large",
    "415": "Only JSON is read",
    "422": "The Idempotency-Key was used for another request",
    "428": "If-Match is needed",
    "503": "The database does not answer",
}
ALWAYS = ("400", "401", "403", "404", "405", "406", "503")
WRITING = ("409", "413", "415", "422")
CHANGING = ("412", "428")
IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "description": "the same request again, with the same key, gets the same answer and no second effect",
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": True,
    "schema": {"type": "string"},
    "description": "the ETag that you have read",
}


def add_problems_and_headers(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Postprocessing hook of drf-spectacular."""
    result["components"].setdefault("schemas", {})["Problem"] = PROBLEM
    content = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, methods in result["paths"].items():
        for method, operation in methods.items():
            changes = method == "patch" or (method == "post" and "{" in path)
            statuses = [*ALWAYS, *(WRITING if method != "get" else ()), *(CHANGING if changes else ())]
            for status in statuses:
                operation["responses"].setdefault(status, {"description": WORDS[status], "content": content})
            if method != "get":
                operation.setdefault("parameters", []).append(IDEMPOTENCY_KEY)
            if changes:
                operation["parameters"].append(IF_MATCH)
    return result
