"""Cohorts on pages."""
