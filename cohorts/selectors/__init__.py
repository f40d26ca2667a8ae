"""What the statistics read."""
