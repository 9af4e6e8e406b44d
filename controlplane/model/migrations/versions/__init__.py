"""One file for each migration, named after its number and what it does."""
