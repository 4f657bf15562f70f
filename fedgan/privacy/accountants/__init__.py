"""The accountants: each module of this package registers one.

They import their libraries when they are called, so that a plan or a ledger can be read without any of them.
"""
