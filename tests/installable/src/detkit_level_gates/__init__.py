"""Learned factors on feature levels. The entry point names the module `gates` inside."""
