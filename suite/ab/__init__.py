"""Interleaved comparison of two sides: ``reelbench compare --ab BASE HEAD``."""
