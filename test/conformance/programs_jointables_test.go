package conformance_test

import (
	"maps"
)

// joinTablePrograms returns the programs of join_tables.json by the name of their case.
func joinTablePrograms() map[string]program {
	all := streamTablePrograms()
	maps.Copy(all, tableTablePrograms())
	maps.Copy(all, streamStreamPrograms())
	return all
}

// docPrograms returns the programs of doc_tables.json by the name of the table and the column.
func docPrograms() map[string]program {
	all := docTablePrograms()
	maps.Copy(all, docStreamPrograms())
	return all
}

// dashed is how upstream's tests write a joined value.
func dashed(left, right string) string { return left + "-" + right }

// bracketed is how upstream's documentation writes a joined value.
func bracketed(left, right string) string { return "[" + left + ", " + right + "]" }
