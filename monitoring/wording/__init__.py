"""How codes, numbers and reasons are said to people: pages, the API, mails and reports all say them from here."""
