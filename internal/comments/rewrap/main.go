// Command rewrap fills the comments of Go files to one width, see package comments.
//
//	rewrap -l FILE…   names the files that it would change
//	rewrap -w FILE…   changes them
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"

	"github.com/seed84377926/millrace/internal/comments"
)

func main() {
	list := flag.Bool("l", false, "print the names of the files whose comments are not filled")
	write := flag.Bool("w", false, "fill the comments of the files")
	flag.Parse()
	if *list == *write {
		fmt.Fprintln(os.Stderr, "rewrap: give either -l or -w, and files")
		os.Exit(2)
	}
	for _, name := range flag.Args() {
		if err := rewrap(name, *write); err != nil {
			fmt.Fprintf(os.Stderr, "rewrap %s: %v\n", name, err)
			os.Exit(1)
		}
	}
}

// rewrap fills the comments of one file. It prints the name if that changes anything and the file is not to be written.
func rewrap(name string, write bool) error {
	src, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	filled, err := comments.Format(src)
	if err != nil {
		return err
	}
	if bytes.Equal(src, filled) {
		return nil
	}
	if !write {
		fmt.Fprintln(os.Stdout, name)
		return nil
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, filled, info.Mode().Perm())
}
