"""Alerts: opened by a replay or by the clock, told to people, escalated until somebody has acted."""
