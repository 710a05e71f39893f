"""Errors that a user can cause, told in one clear line."""


class UserError(Exception):
    """Something the user can mend: the message says what, what was expected, and what to do."""


class UsageError(UserError):
    """The command or its configuration is wrong; jobs exit with status 2."""


class UnavailableError(UserError):
    """Storage cannot be reached; it says nothing about the data, which must not be given up."""
