"""The terms that all other packages use: scale and classes, partly known dates, a measurement, a reason.

Nothing here decides about a patient.
"""
