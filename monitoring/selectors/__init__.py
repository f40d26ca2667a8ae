"""What is read. Selectors never write."""
