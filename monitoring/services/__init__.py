"""What is done: each deed checks, writes and leaves its trace in one transaction.

Imports run one way: foundation <- alerts <- classification <- settings <- entry.
"""
