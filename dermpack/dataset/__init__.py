"""Read and write a dataset folder."""
