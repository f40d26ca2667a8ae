"""How codes and figures of cohorts are said to people."""
