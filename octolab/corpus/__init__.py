"""Pages and rows become documents: read, convert, extract, deduplicate, decontaminate, each drop counted."""
