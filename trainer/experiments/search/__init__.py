"""Search for the best recipe, by as many workers as are started."""
