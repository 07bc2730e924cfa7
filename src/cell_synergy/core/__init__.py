"""What every part stands on: parameters, errors, atomic files, threads, random streams."""
