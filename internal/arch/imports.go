package arch

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// imported returns the path of an import.
func imported(spec *ast.ImportSpec) string {
	unquoted, err := strconv.Unquote(spec.Path.Value)
	if err != nil { // the parser accepts string literals only
		return spec.Path.Value
	}
	return unquoted
}

// imports calls visit for every import of the non-test files of p.
func (p *Package) imports(visit func(file *File, spec *ast.ImportSpec, path string)) {
	for _, file := range p.Files {
		if file.Test {
			continue
		}
		for _, spec := range file.AST.Imports {
			visit(file, spec, imported(spec))
		}
	}
}

// checkImports applies the table of layers.
func checkImports(repo *Repository, pkg *Package) []Finding {
	rows := layers()
	i := slices.IndexFunc(rows, func(r row) bool { return matches(r.pkg, pkg.Path) })
	if i < 0 {
		return []Finding{{File: pkg.Path, Message: "package has no row in the table of imports; decide what it may import and say why (internal/arch/table.go)"}}
	}
	var findings []Finding
	pkg.imports(func(file *File, spec *ast.ImportSpec, path string) {
		target := within(repo.Module, path)
		if target == path || matchesAny(rows[i].may, target) {
			return
		}
		findings = append(findings, file.at(spec, "%s must not import %s: %s", pkg.Path, target, rows[i].why))
	})
	return findings
}

// checkConfined applies the tables of outside libraries and of their functions.
func checkConfined(_ *Repository, pkg *Package) []Finding {
	if pkg.forTests() {
		return nil
	}
	rows := confinements()
	var findings []Finding
	pkg.imports(func(file *File, spec *ast.ImportSpec, path string) {
		i := slices.IndexFunc(rows, func(c confinement) bool { return matches(c.library, path) })
		if i >= 0 && !matchesAny(rows[i].only, pkg.Path) {
			findings = append(findings, file.at(spec, "%s belongs to %s: %s", path, strings.Join(rows[i].only, ", "), rows[i].why))
		}
	})
	for _, row := range confinedFunctions() {
		if matchesAny(row.only, pkg.Path) {
			continue
		}
		pkg.uses(row.library, func(file *File, expr *ast.SelectorExpr) {
			if expr.Sel.Name == row.function {
				findings = append(findings, file.at(expr, "%s.%s belongs to %s: %s", row.library, row.function, strings.Join(row.only, ", "), row.why))
			}
		})
	}
	return findings
}

// uses calls visit for every use of a name of an imported package in the non-test files of p.
func (p *Package) uses(importPath string, visit func(file *File, expr *ast.SelectorExpr)) {
	for _, file := range p.Files {
		if file.Test {
			continue
		}
		ast.Inspect(file.AST, func(node ast.Node) bool {
			if expr, ok := node.(*ast.SelectorExpr); ok {
				if _, ok := file.selects(expr, importPath); ok {
					visit(file, expr)
				}
			}
			return true
		})
	}
}

// checkTesting keeps test libraries out of packages that users link.
func checkTesting(_ *Repository, pkg *Package) []Finding {
	if pkg.forTests() {
		return nil
	}
	var findings []Finding
	pkg.imports(func(file *File, spec *ast.ImportSpec, path string) {
		for _, library := range []string{"testing/...", "github.com/stretchr/testify/...", "go.uber.org/mock/...", "github.com/golang/mock/...", "go.uber.org/goleak/...", "github.com/cockroachdb/datadriven/..."} {
			if matches(library, path) {
				findings = append(findings, file.at(spec, "%s would be linked into users' binaries; move the code to a _test.go file or to a package named …test", path))
			}
		}
	})
	return findings
}

// checkPure keeps I/O, time, chance and libraries out of the pure packages; libraries also if a package reaches them
// through others.
func checkPure(repo *Repository, pkg *Package) []Finding {
	if !slices.Contains(pure(), pkg.Path) {
		return nil
	}
	var findings []Finding
	pkg.imports(func(file *File, spec *ast.ImportSpec, path string) {
		for _, impure := range impureImports() {
			if matches(impure.pattern, path) {
				findings = append(findings, file.at(spec, "%s is pure, and %s %s; let the caller pass in what is needed", pkg.Path, path, impure.does))
			}
		}
	})
	for _, dep := range pkg.Deps {
		if first, _, _ := strings.Cut(dep, "/"); strings.Contains(first, ".") && dep != repo.Module && within(repo.Module, dep) == dep {
			findings = append(findings, Finding{File: pkg.Path, Message: "is pure, and reaches the library " + dep + "; the standard library is enough, or the code belongs in a subpackage"})
		}
	}
	for _, file := range pkg.Files {
		if !file.Test {
			findings = append(findings, impureCode(file, pkg.Path)...)
		}
	}
	return findings
}

// impureCode finds uses of the clock and go statements.
func impureCode(file *File, pkg string) []Finding {
	var findings []Finding
	ast.Inspect(file.AST, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.GoStmt:
			findings = append(findings, file.at(node, "%s is pure and starts no goroutine; concurrency is the caller's", pkg))
		case *ast.SelectorExpr:
			if name, ok := file.selects(node, "time"); ok && slices.Contains(clockFunctions(), name) {
				findings = append(findings, file.at(node, "%s is pure and follows no clock, but uses time.%s; let the caller pass the time in", pkg, name))
			}
		case *ast.ImportSpec:
			if imported(node) == "time" && node.Name != nil && node.Name.Name == "." {
				findings = append(findings, file.at(node, "do not dot-import time: a use of the clock could not be seen"))
			}
		}
		return true
	})
	return findings
}

// selects reports the name X if expr is p.X for the imported package p.
func (f *File) selects(expr *ast.SelectorExpr, importPath string) (name string, ok bool) {
	ident, ok := expr.X.(*ast.Ident)
	if !ok {
		return "", false
	}
	for _, spec := range f.AST.Imports {
		if imported(spec) != importPath {
			continue
		}
		local := importPath[strings.LastIndexByte(importPath, '/')+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
		if ident.Name == local {
			return expr.Sel.Name, true
		}
	}
	return "", false
}
