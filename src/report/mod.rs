//! Shows tables: CSV files, terminal.
