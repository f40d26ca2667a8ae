"""The REST API: it translates. Shape is checked here, one service is called, and one kind of problem is answered."""
