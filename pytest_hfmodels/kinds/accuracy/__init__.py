"""How many rows of a file a model answers rightly: a number that may not fall by more than a test allows."""
