package topology_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// declared are the exported names of a package: "Func", "Type" and "Type.Member", members of embedded types included.
func declared(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	names, members, embedded := make(map[string]bool), make(map[string]map[string]bool), make(map[string][]string)
	member := func(of, name string) {
		if members[of] == nil {
			members[of] = make(map[string]bool)
		}
		members[of][name] = true
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					names[d.Name.Name] = true
				} else {
					member(typeName(d.Recv.List[0].Type), d.Name.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.ValueSpec:
						for _, n := range s.Names {
							names[n.Name] = true
						}
					case *ast.TypeSpec:
						names[s.Name.Name] = true
						for _, f := range fieldsOf(s.Type) {
							if len(f.Names) == 0 {
								embedded[s.Name.Name] = append(embedded[s.Name.Name], typeName(f.Type))
							}
							for _, n := range f.Names {
								member(s.Name.Name, n.Name)
							}
						}
					}
				}
			}
		}
	}
	for of := range maps.Clone(names) {
		for within := []string{of}; len(within) > 0; within = within[1:] {
			for name := range members[within[0]] {
				names[of+"."+name] = true
			}
			within = append(within, embedded[within[0]]...)
		}
	}
	return names
}

// fieldsOf returns the fields of a struct and the methods of an interface.
func fieldsOf(e ast.Expr) []*ast.Field {
	switch e := e.(type) {
	case *ast.StructType:
		return e.Fields.List
	case *ast.InterfaceType:
		return e.Methods.List
	}
	return nil
}

// typeName returns the name of a type without pointer, parameters and package.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return typeName(e.X)
	case *ast.IndexExpr:
		return typeName(e.X)
	case *ast.IndexListExpr:
		return typeName(e.X)
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// The chapters name only what exists. This checks every name in the right column of the tables for users of Kafka
// Streams, and every name with a package in any chapter. "not yet: `Name`" says that a name does not exist; remove it
// when the name exists.
func TestDocs_nameWhatThereIs(t *testing.T) {
	packages := map[string]map[string]bool{
		"topology":     declared(t, "."),
		"describe":     declared(t, "describe"),
		"topologytest": declared(t, "topologytest"),
		"state":        declared(t, "../state"),
		"codecs":       declared(t, "../codecs"),
		"processors":   declared(t, "../processors"),
		"views":        declared(t, "../views"),
	}
	var (
		span      = regexp.MustCompile("(not yet: )?`([^`]+)`")
		inTable   = regexp.MustCompile(`^(?:(topology|describe|topologytest|state|codecs|processors|views)\.)?([A-Z]\w*(?:\.[A-Z]\w*)?)$`)
		qualified = regexp.MustCompile(`\b(topology|describe|topologytest|state|codecs|processors|views)\.([A-Z]\w*(?:\.[A-Z]\w*)?)`)
		checked   int
	)
	chapters, err := filepath.Glob("../docs/dsl/*.md")
	require.NoError(t, err)
	for _, path := range chapters {
		text, err := os.ReadFile(path) //nolint:gosec // a file of this repository
		require.NoError(t, err)
		for i, line := range strings.Split(string(text), "\n") {
			check := func(pkg, name string, want bool) {
				checked++
				if pkg == "" {
					pkg = "topology"
				}
				if packages[pkg][name] != want {
					t.Errorf("%s:%d: %s.%s: declared is %t, the page says %t", path, i+1, pkg, name, !want, want)
				}
			}
			cells := strings.Split(line, " | ")
			if filepath.Base(path) == "from-kafka-streams.md" && strings.HasPrefix(line, "| ") && len(cells) == 2 {
				for _, m := range span.FindAllStringSubmatch(cells[1], -1) {
					if n := inTable.FindStringSubmatch(m[2]); n != nil {
						check(n[1], n[2], m[1] == "")
					}
				}
				continue
			}
			for _, m := range span.FindAllStringSubmatch(line, -1) {
				if m[1] != "" {
					check("", m[2], false)
				}
			}
			for _, m := range qualified.FindAllStringSubmatch(line, -1) {
				check(m[1], m[2], true)
			}
		}
	}
	require.Greater(t, checked, 150)
}
