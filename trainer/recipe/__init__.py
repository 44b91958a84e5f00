"""Options of a training: what a person may ask for, from command line, TOML or JSON."""
