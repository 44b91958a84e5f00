"""Write the tables of figures, and check that each figure in the documentation is in a committed report."""
