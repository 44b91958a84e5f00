"""Find pictures that show the same thing."""
