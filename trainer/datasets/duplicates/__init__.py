"""Find pictures that show the same thing: by hashes, by features of a network, and by geometry."""
