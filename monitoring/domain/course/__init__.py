"""One patient over time: classed results, treatment, stops, losses of response, and the state off treatment."""
