"""The words that everything else is said in: scale and classes, partly known dates, a measurement, a reason.

Nothing here decides about a patient.
"""
