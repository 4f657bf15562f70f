"""Audits: what ledgers say was spent, whether they can be believed, and what attacks prove. No torch."""
