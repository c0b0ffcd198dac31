"""Brings up a kind cluster with the whole platform on it, from registries or from source packages."""
