"""Leaks between splits, copied pictures, wrong labels: what is wrong with a data set, found before training."""
