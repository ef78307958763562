"""Records of one `generate` from several prompts."""
