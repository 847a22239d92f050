"""Finding plug-ins, listing their choices, building and describing parts."""
