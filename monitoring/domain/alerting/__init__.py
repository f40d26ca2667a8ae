"""What a person must hear of: the kinds of alerts in one table, and the alerts that a patient's course calls for."""
