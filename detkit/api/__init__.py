"""What the command line, scripts and notebooks call; `detkit` exports the public part."""
