"""The system's accounts: who may log in, by PAM or shadow(5), and what is written down of it."""
