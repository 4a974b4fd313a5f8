"""Our own transfer engine: parallel parts by whatever transport can be had, nothing sent twice."""
