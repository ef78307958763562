"""Tokenizers of the families that models use, made by rule: slow, fast and reloaded agree on any text."""
