"""Rebuild the network of a Keras file from its configuration, which is read as data and never executed."""
