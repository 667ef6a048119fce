"""File transfer: what rides on a channel whose subsystem is sftp."""
