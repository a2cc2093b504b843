"""Invented patients on invented scanners: the sample series, and the generator that draws them."""
