"""One small module for each layout in which people download skin pictures."""
