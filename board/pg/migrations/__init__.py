"""Numbered migrations: ``NNNN_pre_*.sql`` before a deploy (expand), ``NNNN_post_*.sql`` after it (contract)."""
