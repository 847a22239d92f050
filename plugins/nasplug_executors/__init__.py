"""Where evaluations run: in worker processes of this machine."""
