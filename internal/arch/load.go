package arch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// listed is what `go list -json` says about a package.
type listed struct {
	Dir            string
	ImportPath     string
	Name           string
	Module         struct{ Path string }
	GoFiles        []string
	CgoFiles       []string
	IgnoredGoFiles []string // excluded by build constraints
	TestGoFiles    []string
	XTestGoFiles   []string
	Deps           []string
	Error          *loadError
	DepsErrors     []*loadError
}

type loadError struct{ Err string }

// Load parses all packages of the module in dir, which holds its go.mod, and
// returns them with the path of the module. Files that build constraints
// exclude are read as well: a law holds on every platform.
func Load(ctx context.Context, dir string) (module string, packages []*Package, err error) {
	command := exec.CommandContext(ctx, "go", "list", "-e", "-json=Dir,ImportPath,Name,Module,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Deps,Error,DepsErrors", "./...")
	command.Dir = dir
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return "", nil, fmt.Errorf("go list in %s: %w\n%s", dir, err, &stderr)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var found listed
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			if module == "" {
				return "", nil, fmt.Errorf("go list in %s: no packages; is there a go.mod?\n%s", dir, &stderr)
			}
			return module, packages, nil
		} else if err != nil {
			return "", nil, fmt.Errorf("output of go list: %w", err)
		}
		module = found.Module.Path
		pkg, err := found.parse()
		if err != nil {
			return "", nil, err
		}
		packages = append(packages, pkg)
	}
}

// parse reads the files of a listed package.
func (l *listed) parse() (*Package, error) {
	pkg := &Package{Path: within(l.Module.Path, l.ImportPath), Name: l.Name, Deps: l.Deps}
	for _, failure := range append(l.DepsErrors, l.Error) {
		if failure != nil {
			pkg.Error = failure.Err
		}
	}
	for _, names := range [][]string{l.GoFiles, l.CgoFiles, l.IgnoredGoFiles, l.TestGoFiles, l.XTestGoFiles} {
		for _, name := range names {
			src, err := os.ReadFile(filepath.Join(l.Dir, name))
			if err != nil {
				return nil, fmt.Errorf("package %s: %w", l.ImportPath, err)
			}
			file, err := parse(path.Join(pkg.Path, name), src)
			if err != nil {
				return nil, err
			}
			pkg.Files = append(pkg.Files, file)
		}
	}
	return pkg, nil
}

// parse reads one file; name is its path within the module.
func parse(name string, src []byte) (*File, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return &File{
		Name:  name,
		Test:  strings.HasSuffix(name, "_test.go"),
		Lines: bytes.Count(src, []byte("\n")),
		Set:   set,
		AST:   tree,
	}, nil
}

// within returns the path of a package relative to its module, "." for the
// root, and the whole path if it is of another module.
func within(module, importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}
