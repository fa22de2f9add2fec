"""The contract over HTTP: operations, parameters, bodies, answers, problems, types, validation."""
