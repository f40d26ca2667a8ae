"""What the service costs, measured; never asserted in a test."""
