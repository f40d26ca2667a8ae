"""What is done with cohorts: defined, recomputed, published."""
