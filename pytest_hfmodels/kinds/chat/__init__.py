"""Records of a conversation that a model goes on with."""
