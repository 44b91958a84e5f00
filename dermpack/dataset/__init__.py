"""Read and write a dataset folder: manifest, metadata columns, presence of pictures."""
