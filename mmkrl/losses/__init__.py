"""Losses: one function each, with its formula; every one has a brute-force oracle in the tests."""
