"""Several runs on one dataset: studies, folds, hyperparameter search."""
