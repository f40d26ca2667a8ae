"""What is computed: definitions, members, and survival statistics. No Django, no clock, no database."""
