"""Access: keys, players' tokens, and the authorizer that both paths ask."""
