"""Records of plain values: what a pipeline returns, dicts, lists, dataclasses, numbers, texts and arrays."""
