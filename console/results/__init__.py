"""Result tables: polars frames with one documented schema, views of them, and one writer per export format."""
