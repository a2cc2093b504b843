"""What things are, in plain Python and numpy: no file is read here and no row is written."""
