"""Records of generation: greedy and beam search."""
