"""What plug-ins and users may build on."""
