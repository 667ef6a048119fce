"""Who you are: keys, agents, certificates, known hosts, authorized keys."""
