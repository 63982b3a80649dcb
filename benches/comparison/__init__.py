"""What `benches/compare` is made of. `main` chooses the scenarios; a file for each kind of them; the rest are its tools."""
