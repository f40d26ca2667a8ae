"""The addresses of cohorts in the REST API."""
