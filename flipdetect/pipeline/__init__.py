"""Whole jobs made of the other rooms: a film goes in, pages come out."""
