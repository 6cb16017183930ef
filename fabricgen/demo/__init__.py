"""The demo city: an extract of central Helsinki, a site in it, and their license."""
