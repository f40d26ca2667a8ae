"""What is decided: pure Python over dates and decimals. No Django, no clock, no database."""
