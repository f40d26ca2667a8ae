"""Files as they arrive: shape is checked here, medicine is not known here."""
