"""Decode, orient and resize pictures: the only preprocessing, for training and for inference."""
