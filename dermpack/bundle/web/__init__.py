"""Web bundles: a static site that runs the model in the browser; its client code is next to these modules."""
