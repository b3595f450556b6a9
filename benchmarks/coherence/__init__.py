"""Measures cache coherence: replica and writer processes over real servers, and a checker."""
