"""The report's page as a person meets it: read without a browser, and tried in one."""
