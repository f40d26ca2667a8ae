"""One sample: what the laboratory reported, and the class that follows from it."""
