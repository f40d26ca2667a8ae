"""Patients, laboratories, results, response, episodes and alerts."""
