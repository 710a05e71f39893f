"""From texts and images to (subject, predicate, object) relationships with their evidence."""
