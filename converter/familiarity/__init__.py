"""Score how far a picture is from those of the training split."""
