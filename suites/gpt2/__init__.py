"""GPT-2, on the bundled checkpoint and, if it is available, on the published one."""

PROMPT = "My name is Hasnain and I am a software engineer."
EOS = 1023  # tiny-gpt2's <|endoftext|>, the last id, as in GPT-2's own vocabulary
