"""What is kept: the journal (one writer thread per process, many readers), log files, artifacts, sealed series."""
