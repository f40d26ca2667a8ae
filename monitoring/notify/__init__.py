"""How people are told: messages without patient data, and the channels that carry them."""
