"""What travels over HTTP: operations, answers, problems, types, validation."""
