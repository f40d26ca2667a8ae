"""Wiring: settings, addresses, embedded servers, supervisor. No medicine lives here."""
