"""What a host should be, held against what was read of it: checks and their findings."""
