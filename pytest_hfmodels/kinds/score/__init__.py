"""The kind `score`: log-probabilities of given texts."""
