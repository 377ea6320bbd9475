"""The parts of scripts/soak: the book of what must be there, those who write and read, what is done to the broker meanwhile, and
what the process takes."""
