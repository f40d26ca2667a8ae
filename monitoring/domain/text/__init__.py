"""Text that people and files bring: characters that are safe, names that look alike, cells of spreadsheets."""
