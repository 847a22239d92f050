"""Files of published benchmarks and of tables, read as data frames; none is trusted."""
