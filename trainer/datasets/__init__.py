"""Import downloaded pictures as a dataset folder; check and describe dataset folders."""
