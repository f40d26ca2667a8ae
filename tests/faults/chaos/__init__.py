"""The whole service under fire: `make chaos`. Its parts are killed, frozen and flushed while results arrive.

Real processes under the real supervisor and a second alertd, with throw-away data and a mail server of our own. What
must be there in the end is decided before anything is sent; the checker reads the database and the mail server's log
and calls no code of the service. The variables of `choices.py` choose the run; the last line is the verdict.
"""
