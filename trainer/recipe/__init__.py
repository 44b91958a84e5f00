"""Options of a training, from the command line, TOML or JSON."""
