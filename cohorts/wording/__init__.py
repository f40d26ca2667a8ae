"""Codes and figures of cohorts in words."""
