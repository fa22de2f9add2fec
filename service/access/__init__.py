"""Access: keys, players' tokens, grants, quotas, and the authorizer of both paths."""
