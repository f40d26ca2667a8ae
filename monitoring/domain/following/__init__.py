"""What is worked out while a course goes on: kinetics, early signs, milestones, next sample, findings, plausibility."""
