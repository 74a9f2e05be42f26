"""The test suite; folders mirror ``evalsuite/``."""
