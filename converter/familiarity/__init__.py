"""The score that tells pictures unlike those of the training split."""
