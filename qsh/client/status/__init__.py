"""How running clients fare, told to their user."""
