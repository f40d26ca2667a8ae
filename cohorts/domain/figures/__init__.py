"""From the rows of a cohort to its snapshot: every number with its denominator, method and interval."""
