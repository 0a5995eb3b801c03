"""The tests of TACO."""
