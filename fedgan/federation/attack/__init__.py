"""Audits by attack: runs of their own in which some records' membership was decided by coins.

Nothing else imports this package (a contract of import-linter), and a `Vault` knows nothing of it.
"""
