"""Records of classification: one text or a batch, with or without a loss."""
