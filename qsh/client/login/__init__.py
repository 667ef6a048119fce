"""The client's part in a login: keys, questions, tickets."""
