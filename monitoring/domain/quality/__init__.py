"""How well a laboratory measures: the controls of a run, and their values over time."""
