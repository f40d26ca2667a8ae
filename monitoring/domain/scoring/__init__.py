"""One sample: what a laboratory reported, and the class that it proves."""
