//! A byte range of a file, with its own position, bounds and budget.
