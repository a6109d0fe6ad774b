package gotest

import (
	"bytes"
	"fmt"
	"slices"
)

// ReplaceTable puts a table between the marks that are in a page for it.
func ReplaceTable(page []byte, table string) ([]byte, error) {
	const begin, end = "<!-- table -->\n", "<!-- end of the table -->\n"
	before, rest, ok1 := bytes.Cut(page, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok1 || !ok2 {
		return nil, fmt.Errorf("the page lacks the marks %q and %q", begin, end)
	}
	return slices.Concat(before, []byte(begin), []byte(table), []byte(end), after), nil
}
