"""Text from people and files: safe characters, identifiers that look alike, cells of spreadsheets."""
