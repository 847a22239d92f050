"""Tasks on text: translation of sentences from one language to another."""
