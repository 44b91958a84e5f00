"""Read the layouts in which pictures are distributed: folders, tables, HAM10000, CIFAR-10."""
