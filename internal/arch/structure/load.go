package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pkg is one package of the module, without its tests.
type pkg struct {
	path    string // within the module
	imports []string
	files   []*ast.File
	set     *token.FileSet
	info    *types.Info
	types   *types.Package
	refs    map[arrow][]string // the names that the first file uses of the second
}

// figures are what is counted of a package, or of all.
type figures struct {
	files, lines, exported, methods, refs int
	up                                    []arrow
	ups                                   int
}

func (f figures) String() string {
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%d", f.files, f.lines, f.exported, f.methods, f.refs, f.ups)
}

func (f *figures) add(g figures) {
	f.files += g.files
	f.lines += g.lines
	f.exported += g.exported
	f.methods += g.methods
	f.refs += g.refs
	f.ups += g.ups
}

// listed is what `go list -json` says about a package.
type listed struct {
	Dir, ImportPath, Export string
	Module                  struct{ Path string }
	GoFiles, Imports        []string
}

// load type-checks the packages of the module in dir. What they import comes from the compiler's export data, so that
// only packages that others import are compiled.
func load(ctx context.Context, dir string) ([]*pkg, error) {
	own, err := list(ctx, dir, "./...")
	if err != nil {
		return nil, err
	}
	var imported []string
	for _, l := range own {
		imported = append(imported, l.Imports...)
	}
	slices.Sort(imported)
	exported, err := list(ctx, dir, append([]string{"-export"}, slices.Compact(imported)...)...)
	if err != nil {
		return nil, err
	}
	exports := make(map[string]string)
	for _, l := range exported {
		exports[l.ImportPath] = l.Export
	}
	set := token.NewFileSet()
	imports := importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	var packages []*pkg
	for _, l := range own {
		p, err := l.check(set, imports)
		if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(a, b *pkg) int { return strings.Compare(a.path, b.path) })
	return packages, nil
}

// list asks the go command about packages, and leaves out those without code outside of tests.
func list(ctx context.Context, dir string, args ...string) ([]listed, error) {
	command := exec.CommandContext(ctx, "go", append([]string{"list", "-json=Dir,ImportPath,Export,Module,GoFiles,Imports"}, args...)...)
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, &stderr)
	}
	var found []listed
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := decoder.Decode(&l); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("output of go list: %w", err)
		}
		if len(l.GoFiles) > 0 {
			found = append(found, l)
		}
	}
}

func (l *listed) check(set *token.FileSet, imports types.Importer) (*pkg, error) {
	p := &pkg{path: inModule(l.Module.Path, l.ImportPath), set: set, info: &types.Info{
		Uses: make(map[*ast.Ident]types.Object), Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}}
	for _, imported := range l.Imports {
		p.imports = append(p.imports, inModule(l.Module.Path, imported))
	}
	for _, name := range l.GoFiles {
		file, err := parser.ParseFile(set, filepath.Join(l.Dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("parse: %w", err)
		}
		p.files = append(p.files, file)
	}
	config := types.Config{Importer: imports}
	var err error
	if p.types, err = config.Check(l.ImportPath, set, p.files, p.info); err != nil {
		return nil, fmt.Errorf("check %s: %w", l.ImportPath, err)
	}
	return p, nil
}

func inModule(module, importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

// measure counts, and finds the references between the files.
func (p *pkg) measure() figures {
	f := figures{files: len(p.files)}
	for _, file := range p.files {
		f.lines += p.set.Position(file.FileEnd).Line
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv != nil && fn.Name.IsExported() && p.ofExported(fn) {
				f.methods++
			}
		}
	}
	for _, name := range p.types.Scope().Names() {
		if token.IsExported(name) && p.types.Name() != "main" {
			f.exported++
		}
	}
	p.refs = make(map[arrow][]string)
	for ident, used := range p.info.Uses {
		if used.Pkg() != p.types || !used.Pos().IsValid() || local(used) {
			continue
		}
		a := arrow{p.file(ident.Pos()), p.file(used.Pos())}
		if a.from != a.to && !slices.Contains(p.refs[a], used.Name()) {
			p.refs[a] = append(p.refs[a], used.Name())
		}
	}
	var arrows []arrow
	for a, names := range p.refs {
		slices.Sort(names)
		arrows = append(arrows, a)
	}
	slices.SortFunc(arrows, arrow.compare)
	f.refs, f.up = len(arrows), runUp(arrows)
	f.ups = len(f.up)
	return f
}

func (p *pkg) file(pos token.Pos) string { return filepath.Base(p.set.Position(pos).Filename) }

// ofExported reports whether a method belongs to an exported type.
func (p *pkg) ofExported(fn *ast.FuncDecl) bool {
	exported := false
	ast.Inspect(fn.Recv.List[0].Type, func(node ast.Node) bool {
		if ident, ok := node.(*ast.Ident); ok {
			exported = ident.IsExported()
			return false
		}
		_, list := node.(*ast.IndexListExpr)
		_, index := node.(*ast.IndexExpr)
		_, star := node.(*ast.StarExpr)
		return list || index || star
	})
	return exported
}

// local reports whether an object is declared inside of a function: a name that no other file can use.
func local(o types.Object) bool {
	if v, ok := o.(*types.Var); ok && v.IsField() {
		return false
	}
	if fn, ok := o.(*types.Func); ok && fn.Signature().Recv() != nil {
		return false
	}
	return o.Parent() != o.Pkg().Scope()
}
