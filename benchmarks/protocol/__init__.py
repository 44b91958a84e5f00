"""Jobs for a worker and the results that it returns."""
