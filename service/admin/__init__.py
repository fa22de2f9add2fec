"""For operators: sessions of the page `/admin`, and the state of the system."""
