"""Examples for training: prepared pictures, augmentation, class balance, batches."""
