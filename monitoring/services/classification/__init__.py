"""Classification: who is owed it, the replay of whole series, and what is written of it."""
