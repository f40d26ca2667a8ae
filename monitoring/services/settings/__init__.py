"""What centres and laboratories decide for themselves: laboratories, protocols, people and their keys."""
