"""The numbers of the special tokens, the first of every vocabulary."""

from __future__ import annotations

PADDING, BEGIN, END, UNKNOWN = 0, 1, 2, 3
"""What fills a batch on the right; what a target begins and a sequence ends with; what is not in the
vocabulary."""

SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")
"""How they are written, in this order."""
