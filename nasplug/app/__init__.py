"""The command line: modes, terminal, pictures, sweeps."""
