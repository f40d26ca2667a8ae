"""What the statistics read, and what is shown of them to whom."""
