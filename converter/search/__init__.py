"""Try conversion strategies, compare each candidate to the float network, choose one."""
