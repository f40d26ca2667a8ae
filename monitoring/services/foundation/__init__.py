"""What every deed stands on: actors, access, sealed values, work that is set aside, rows in bulk, jobs, sessions."""
