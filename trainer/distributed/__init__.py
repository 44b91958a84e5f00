"""Train with several replicas: strategy, cluster, rendezvous."""
