"""The command line: its words, help and stopping."""
