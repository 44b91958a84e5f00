"""From a folder as people download it to a dataset whose splits can be trusted."""
