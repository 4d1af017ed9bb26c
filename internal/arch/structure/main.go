// Command structure measures how the packages of this module hang together: their files, lines and exported names, the
// references between files, and how many of these run up. `make structure` runs it; compare what it prints before and
// after a change that moves things.
//
// A reference is a pair of files of one package of which the first uses a name that the second declares. If the files
// were put into an order in which as few references as possible point backwards, those that still do "run up": a reader
// can go through the file list in that order and meets something unknown so many times. The order is found by a
// heuristic, so the count is an upper bound, and the same for the same tree.
//
// Between folders the same is counted for imports. A package whose path begins with another one's belongs to its
// folder: topology/topologytest to topology.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

func main() {
	dir := flag.String("dir", ".", "the folder of a module")
	detail := flag.String("refs", "", "print the references that run up in the packages of this folder, such as topology")
	flag.Parse()
	if err := run(context.Background(), *dir, *detail); err != nil {
		fmt.Fprintln(os.Stderr, "structure:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, detail string) error {
	packages, err := load(ctx, dir)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "package\tfiles\tlines\texported\tmethods\treferences\trun up")
	var total figures
	for _, pkg := range packages {
		f := pkg.measure()
		total.add(f)
		fmt.Fprintf(table, "%s\t%s\n", pkg.path, f)
		if detail != "" && within(detail, pkg.path) {
			defer pkg.printUp(f)
		}
	}
	fmt.Fprintf(table, "all\t%s\n", total)
	if err := table.Flush(); err != nil {
		return err
	}
	imports := folderImports(packages)
	up := runUp(imports)
	fmt.Fprintf(os.Stdout, "\nimports between folders: %d, of which run up: %d\n", len(imports), len(up))
	for _, a := range up {
		fmt.Fprintf(os.Stdout, "  %s -> %s\n", a.from, a.to)
	}
	return nil
}

// printUp prints the references of one package that run up.
func (p *pkg) printUp(f figures) {
	fmt.Fprintf(os.Stdout, "\n%s: references that run up\n", p.path)
	for _, a := range f.up {
		fmt.Fprintf(os.Stdout, "  %s -> %s  %s\n", a.from, a.to, strings.Join(p.refs[a], ", "))
	}
}

// within reports whether a package is the folder or below it.
func within(folder, pkg string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

// folderImports returns the imports between packages, as arrows between the folders at the top that they belong to.
func folderImports(packages []*pkg) []arrow {
	known := make(map[string]bool)
	for _, p := range packages {
		known[p.path] = true
	}
	var arrows []arrow
	for _, p := range packages {
		for _, imported := range p.imports {
			from, to := folder(p.path), folder(imported)
			if a := (arrow{from, to}); known[imported] && from != to && !slices.Contains(arrows, a) {
				arrows = append(arrows, a)
			}
		}
	}
	slices.SortFunc(arrows, arrow.compare)
	return arrows
}

// folder returns the first part of a package's path, and the first two below cmd, examples, internal and test, which
// only hold together what has nothing to do with each other.
func folder(pkg string) string {
	parts := strings.Split(pkg, "/")
	switch parts[0] {
	case "cmd", "examples", "internal", "test":
		return strings.Join(parts[:min(2, len(parts))], "/")
	}
	return parts[0]
}
