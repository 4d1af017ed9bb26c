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
	"io/fs"
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

// Load reads the repository in dir, which holds the go.mod of its main module: all packages of all modules, and all
// documents. Files that build constraints exclude are read as well: a law holds on every platform. Folders called
// testdata and those that begin with a dot are not looked into, except that their paths are known.
func Load(ctx context.Context, dir string) (*Repository, error) {
	repo := &Repository{Paths: make(map[string]bool)}
	modules, err := repo.walk(dir)
	if err != nil {
		return nil, err
	}
	for _, folder := range modules {
		if err := repo.loadModule(ctx, dir, folder); err != nil {
			return nil, err
		}
	}
	if repo.Module == "" {
		return nil, fmt.Errorf("go list in %s: no packages; is there a go.mod?", dir)
	}
	return repo, nil
}

// walk finds paths, documents and modules below dir. It returns the folders of the modules, the main one first.
func (repo *Repository) walk(dir string) (modules []string, err error) {
	modules = []string{"."}
	return modules, filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		if entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && name != ".github" {
			return filepath.SkipDir
		}
		repo.Paths[name] = true
		switch fixture := strings.Contains("/"+name, "/testdata/"); {
		case fixture || entry.IsDir():
		case entry.Name() == "go.mod" && name != "go.mod":
			modules = append(modules, path.Dir(name))
		case path.Ext(name) == ".md":
			text, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("document: %w", err)
			}
			repo.Documents = append(repo.Documents, &Document{Name: name, Text: string(text)})
		}
		return nil
	})
}

// loadModule parses all packages of the module in a folder of dir. A module that only pins tools has none.
func (repo *Repository) loadModule(ctx context.Context, dir, folder string) error {
	command := exec.CommandContext(ctx, "go", "list", "-e", "-json=Dir,ImportPath,Name,Module,GoFiles,CgoFiles,IgnoredGoFiles,TestGoFiles,XTestGoFiles,Deps,Error,DepsErrors", "./...")
	command.Dir = filepath.Join(dir, folder)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("go list in %s: %w\n%s", command.Dir, err, &stderr)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var found listed
		if err := decoder.Decode(&found); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("output of go list: %w", err)
		}
		if folder == "." {
			repo.Module = found.Module.Path
		}
		pkg, err := found.parse(folder)
		if err != nil {
			return err
		}
		repo.Packages = append(repo.Packages, pkg)
	}
}

// parse reads the files of a listed package, whose module is in a folder of the repository.
func (l *listed) parse(folder string) (*Package, error) {
	pkg := &Package{Path: path.Join(folder, within(l.Module.Path, l.ImportPath)), Name: l.Name, Deps: l.Deps}
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

// parse reads one file; name is its path relative to the root.
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

// within returns the path of a package relative to its module, "." for the root, and the whole path if it is of another
// module.
func within(module, importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}
