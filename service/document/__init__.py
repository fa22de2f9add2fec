"""The OpenAPI document, served."""
