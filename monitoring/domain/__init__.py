"""What is decided about a patient: pure Python over dates and decimals. No Django, no clock, no database.

Imports run one way: text, vocabulary <- rules <- scoring <- course <- following <- stopping <- alerting <- replay.
"""
