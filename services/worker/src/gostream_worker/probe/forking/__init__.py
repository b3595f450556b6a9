"""Probing children as forks of one process that has done their imports."""
