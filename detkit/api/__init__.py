"""Use cases behind the command line, scripts and notebooks; `detkit` exports the public ones."""
