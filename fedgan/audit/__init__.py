"""Audits: what ledgers say was spent, and whether they can be believed. Imports no torch."""
