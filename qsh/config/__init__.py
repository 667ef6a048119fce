"""ssh_config and sshd_config: files and command lines to frozen settings."""
