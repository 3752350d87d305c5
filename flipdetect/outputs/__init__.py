"""What a person looks at: tables and pictures. `tables` must import quickly, so nothing is imported here."""
