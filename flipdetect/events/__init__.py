"""When pages were turned."""
