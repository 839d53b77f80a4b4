//! Finds destructive or exfiltrating shell, SQL, code and HTTP targets.
