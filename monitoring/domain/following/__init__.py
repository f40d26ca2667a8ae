"""What is asked of a course while it goes on: kinetics, early signs, milestones, next sample, findings, plausibility."""
