"""Adapters for other tools: one module each, whose library is imported with it and not before."""
