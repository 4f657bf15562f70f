"""The vault as a process of its own: it keeps data, torch and ledger, and answers on a Unix socket alone."""
