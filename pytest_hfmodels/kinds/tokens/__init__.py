"""The kind `tokens`: labels of the tokens or words of texts."""
