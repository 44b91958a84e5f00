"""Texts of a bundle: model card, README, notices."""
