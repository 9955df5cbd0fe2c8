"""From files of interactions to matrices: ids, readers, filters, splits."""
