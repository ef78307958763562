"""Records of embeddings: a vector for each text or image."""
