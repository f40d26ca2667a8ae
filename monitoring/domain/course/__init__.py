"""One patient in time: the series of classed results, treatment, stops, losses of response, and what is known off treatment."""
