"""For networks that read and write sequences of tokens: special tokens, decoding."""
