"""The REST API as its OpenAPI file describes it."""
