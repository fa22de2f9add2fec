"""Tickets and passes: reading a board where no header can be sent."""
