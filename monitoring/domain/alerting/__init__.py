"""Alerts: the table of their kinds, and the alerts that a patient's course calls for."""
