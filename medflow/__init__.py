"""medflow: from a PACS export to scores that can be proved, replayed and recalled."""
